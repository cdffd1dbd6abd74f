"""An open file of a run store: transactions that end with a link of the hash chain, reads, and the check that nothing was changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from ..api.errors import ConfigError, SchemaError, StoreError
from . import chain
from .faults import find_unread, find_unreadable, list_faults
from .sqlite_files import Reading, advise_on_missing, connect, make_damaged_error
from .tables import COVERED, SCHEMA_VERSION, make_own_schema, read_schema

_WRITING = ("journal_mode=WAL", "synchronous=NORMAL")
"""Commits survive a killed process. A power cut may undo the last chunks, each of them completely."""


LATEST = "ORDER BY rowid DESC LIMIT 1"
"""What reads the last row of a table, which is the valid one."""


class StoreFile:
    """An open file. Construct it with `open`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self.path = path

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False, checked: bool = True) -> Self:
        """Open an existing store.

        readonly: read a snapshot of one moment, whatever another process writes meanwhile.
        checked: first check all rows against the hash chain, one second of CPU per 100,000 records; `verify` lists
            what is wrong without raising.

        Raises `ConfigError` if there is no file, `StoreError` if it is not a run store, is damaged or was changed, and
        `SchemaError` if another version wrote it.
        """
        if not path.is_file():
            raise ConfigError(f"there is no run at {path}; {advise_on_missing(path)}")
        store = cls(connect(path, readonly=readonly), path)
        try:
            store._begin(readonly)
            if checked:
                store._require_unchanged()
        except StoreError:
            store.close()
            raise
        return store

    def _begin(self, readonly: bool) -> None:
        try:
            if readonly:
                self._db.execute("BEGIN")
            row = self._db.execute(f"SELECT schema_version, version FROM run {LATEST}").fetchone()
            if row is None or row[0] != SCHEMA_VERSION:
                schema = "no schema version" if row is None else f"schema {row[0]}, written by windtunnel {row[1]}"
                fix = "Install the version that wrote it"
                raise SchemaError(f"{self.path} has {schema}; this version reads schema {SCHEMA_VERSION}. {fix}")
            if not readonly:
                for setting in _WRITING:
                    self._db.execute(f"PRAGMA {setting}")
        except sqlite3.DatabaseError as error:
            raise make_damaged_error(self.path, error) from error

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _write(self) -> Iterator[None]:
        """Run a transaction that ends with a link of the hash chain."""
        with self._open_transaction(), chain.append_link(self._db, COVERED):
            yield

    @contextmanager
    def _open_transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            fix = "free some space" if "full" in str(error) or "I/O" in str(error) else "make sure no other process writes to it"
            raise StoreError(
                f"cannot write to {self.path} ({error}); all finished chunks are safe. To go on, {fix} and run it again"
            ) from error

    def _read(self) -> Reading:
        return Reading(self.path)

    def _read_rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._read():
            return self._db.execute(query, values).fetchall()

    def _stream(self, query: str, *values: object) -> Iterator[Any]:
        """Yield one row at a time."""
        with self._read():
            for row in self._db.execute(query, values):  # noqa: UP028 - it would close the cursor, perhaps after its store
                yield row

    @property
    def digest(self) -> str:
        """The head of the hash chain: it covers the whole run but its timing and sessions. Two equal runs have equal digests."""
        with self._read():
            return chain.read_head(self._db)

    def verify(self) -> list[str]:
        """Return one sentence per fault of the file and its rows; empty if there is none."""
        try:
            with self._read():
                damage = [f"SQLite: {row[0]}" for row in self._read_rows("PRAGMA integrity_check") if row[0] != "ok"]
                return [*damage, *self._find_changes()] or list(find_unreadable(self._db))
        except StoreError as error:
            return [error.message]

    def list_unread(self) -> list[str]:
        """Return what `find_unread` finds."""
        return list(find_unread(self._db))

    def _require_unchanged(self) -> None:
        with self._read():
            wrong = self._find_changes()
        if wrong:
            raise StoreError(
                f"{self.path} was changed after the run:\n  {list_faults(wrong)}\nRestore it from a copy, or run again", argument="folder"
            )

    def _find_changes(self) -> list[str]:
        theirs, ours = read_schema(self._db), make_own_schema()
        other = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
        if other:
            return [f"its tables differ from those of a run store: {', '.join(other)}"]
        return list(chain.find_faults(self._db, COVERED))
