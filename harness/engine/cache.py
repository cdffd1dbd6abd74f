"""Answers by content. The key is the model's fingerprint and the request, nothing about rank, batch or time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..api.errors import StoreError
from ..api.requests import Request
from ..store import codec

_MOST_VARIABLES = 900
"""SQLite's oldest limit on ? in one statement is 999."""


def key_of(fingerprint: str, request: Request[Any], /) -> str:
    return codec.digest((fingerprint, request.kind, request))


class Answers(Protocol):
    def get(self, keys: Iterable[str], /) -> dict[str, Any]: ...


class AnswerCache(Answers, Protocol):
    def put(self, answers: Mapping[str, Any], /) -> None: ...


class MemoryCache:
    """Answers of this process, in front of an optional slower cache that it only reads."""

    def __init__(self, behind: Answers | None = None) -> None:
        self._answers: dict[str, Any] = {}
        self._behind = behind

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        found, missing = {}, []
        for key in keys:
            if key in self._answers:
                found[key] = self._answers[key]
            else:
                missing.append(key)
        if self._behind is not None and missing:
            found.update(self._behind.get(missing))
        return found

    def put(self, answers: Mapping[str, Any], /) -> None:
        self._answers.update(answers)

    def take(self) -> dict[str, Any]:
        """Hand over what is held in memory, e.g. to write it; the memory is empty afterwards."""
        taken, self._answers = self._answers, {}
        return taken


def select_answers(connection: sqlite3.Connection, keys: Iterable[str], /) -> dict[str, Any]:
    """Read from a table ``answers(key, response)``."""
    found: dict[str, Any] = {}
    wanted = list(keys)
    for start in range(0, len(wanted), _MOST_VARIABLES):
        part = wanted[start : start + _MOST_VARIABLES]
        marks = ",".join("?" * len(part))
        rows = connection.execute(f"SELECT key, response FROM answers WHERE key IN ({marks})", part)
        found.update((key, codec.loads(response)) for key, response in rows)
    return found


def insert_answers(connection: sqlite3.Connection, answers: Mapping[str, Any], /) -> None:
    rows = ((key, codec.dumps(response)) for key, response in answers.items())
    connection.executemany("INSERT OR IGNORE INTO answers (key, response) VALUES (?, ?)", rows)


class SqliteCache:
    """Answers in a file that outlives the run and may be shared by many (``--cache FILE``)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, response TEXT NOT NULL) WITHOUT ROWID")
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the answer cache {path} cannot be opened ({error}); name another file", argument="cache") from error

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        try:
            return select_answers(self._connection, keys)
        except sqlite3.Error as error:
            raise StoreError(f"the answer cache {self._path} cannot be read ({error}); name another file", argument="cache") from error

    def put(self, answers: Mapping[str, Any], /) -> None:
        if not answers:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                insert_answers(self._connection, answers)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"the answer cache {self._path} cannot be written ({error}); name another file", argument="cache") from error

    def close(self) -> None:
        self._connection.close()


class Behind:
    """What was answered before, in this run or in the shared cache. Only read.

    ``borrowed``: what came from the shared cache and is not yet in the run, whose records must not rest on answers that it lacks.
    """

    def __init__(self, store: Answers, shared: Answers | None) -> None:
        self._store, self._shared = store, shared
        self.borrowed: dict[str, Any] = {}
        self._broken: StoreError | None = None

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        wanted = list(keys)
        try:
            found = self._store.get(wanted)
            if self._shared is not None:
                borrowed = self._shared.get([key for key in wanted if key not in found])
                self.borrowed |= borrowed
                found |= borrowed
            return found
        except StoreError as error:
            self._broken = error
            raise

    def check(self) -> None:
        """A plugin may have taken a broken store for a sample's error: it is the run's."""
        if self._broken is not None:
            raise self._broken
