"""The run store: one append-only SQLite file in WAL mode. A chunk of records is one transaction.

`tables` has the schema, `chain` the hash chain that detects changes.

A chunk is stored completely or not at all: a killed process loses only the chunk in flight.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import lt
from pathlib import Path
from typing import Any

from ..api.errors import ConfigError, SchemaError, StoreError
from ..api.samples import Record, Sample
from . import chain, codec
from .answer_log import AnswerLog
from .faults import find_unread, find_unreadable, list_faults
from .sample_sets import SampleSets
from .sessions import Sessions
from .sqlite_files import Reading, advise_on_missing, make_damaged_error, make_storable
from .sqlite_files import connect as _connect
from .stored_chunk import StoredChunk, read_chunks
from .stored_item import StoredItem, describe_change, describe_conflict
from .tables import COVERED, SCHEMA_VERSION, make_own_schema, make_tables, read_schema

FILE_NAME = "run.db"

_WRITING = ("journal_mode=WAL", "synchronous=NORMAL")
"""Commits survive a killed process. A power cut may undo the last chunks, each of them completely."""

_LATEST = "ORDER BY rowid DESC LIMIT 1"


class Store:
    """An open run store. Construct it with `create` or `open`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self.path = path
        self._answers = AnswerLog(connection)
        self._sample_sets = SampleSets(connection)
        self.sessions = Sessions(connection, self._write, self._read_rows)

    @classmethod
    def create(cls, path: Path, *, name: str, suite: str, version: str) -> Store:
        """Create a store. Raises `StoreError` if the file exists."""
        if path.exists():
            raise StoreError(f"{path} exists; a run is never overwritten")
        # Written under another name and then renamed: a process that is killed here leaves no incomplete store.
        fresh = path.with_name(f"{path.name}.new")
        for leftover in (fresh, fresh.with_name(f"{fresh.name}-journal")):
            leftover.unlink(missing_ok=True)
        store = cls(_connect(fresh), fresh)
        try:
            with store._open_transaction():
                make_tables(store._db)
            with store._write():
                store._db.execute("INSERT INTO run VALUES (?, ?, ?, ?)", (SCHEMA_VERSION, name, suite, version))
        finally:
            store.close()
        fresh.replace(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False, checked: bool = True) -> Store:
        """Open an existing store.

        readonly: read a snapshot of one moment, whatever another process writes meanwhile.
        checked: first check all rows against the hash chain, one second of CPU per 100,000 records; `verify` lists
            what is wrong without raising.

        Raises `ConfigError` if there is no file, `StoreError` if it is not a run store, is damaged or was changed, and
        `SchemaError` if another version wrote it.
        """
        if not path.is_file():
            raise ConfigError(f"there is no run at {path}; {advise_on_missing(path)}")
        store = cls(_connect(path, readonly=readonly), path)
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
            row = self._db.execute(f"SELECT schema_version, version FROM run {_LATEST}").fetchone()
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

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def amend(self, suite: str, version: str, /) -> None:
        """Add the suite's current text as a further row."""
        name = self.name
        with self._write():
            self._db.execute("INSERT INTO run VALUES (?, ?, ?, ?)", (SCHEMA_VERSION, name, suite, version))

    def add_item(self, item: StoredItem, samples: Sequence[Sample], /) -> StoredItem:
        """Declare an item and its samples before its first record, and return the stored item.

        An item with the same identity is reused, even if it was set aside. An item with the same name and another
        identity is set aside as in `set_aside_changed`.
        """
        self.set_aside_changed([item])
        known = self.current(item.model, item.item)
        if known is not None:
            return known
        before = next((i for i, _ in self.set_aside() if i.is_same(item)), None)
        with self._write():
            if before is not None:
                self._set_standing(before, True, "its identity is the stored one again")
                return before
            sample_set = self._sample_sets.declare(item.task, samples)
            row = (item.model, item.item, codec.dumps(item.key.to_json()), item.num_samples, item.model_fingerprint, item.data_fingerprint,
                   item.plugin, item.seed, codec.dumps(item.facts), sample_set)  # fmt: skip
            cursor = self._db.execute(
                "INSERT INTO items (model, item, key, num_samples, model_fingerprint, data_fingerprint, plugin, seed, facts, sample_set)"
                " VALUES (?,?,?,?,?,?,?,?,?,?)", row)  # fmt: skip
        return next(i for i in self._list_items() if i.id == cursor.lastrowid)

    def set_aside_changed(self, now: Iterable[StoredItem], /) -> list[tuple[StoredItem, str]]:
        """Set aside the stored items that differ from ``now``'s items of the same name, and all that depend on them.

        An item differs if its entry in the suite, its model, its data or its code changed. Returns each item with the
        reason. Their records are kept.

        Raises `ConfigError`, and sets nothing aside, if records can be neither kept nor replaced
        (`stored_item.describe_conflict`).
        """
        stored = {(known.model, known.item): known for known in self.items()}
        pairs = [(stored[key], item) for item in now if (key := (item.model, item.item)) in stored]
        changed: list[tuple[StoredItem, str]] = []
        for known, item in pairs:
            if known.declaration != item.declaration:
                changed.append((known, "its entry in the suite changed"))
            elif why := describe_conflict(known, item):
                what = f"{self.path.parent} holds records of {known.item!r} on {known.model!r} {why}"
                raise ConfigError(f"{what}. Choose a new folder", argument="folder")
            elif why := describe_change(known, item):
                changed.append((known, f"it was {why}"))
        if not changed:
            return []
        with self._write():
            return self._set_aside_with_dependents(changed)

    def _set_aside_with_dependents(self, changed: Iterable[tuple[StoredItem, str]]) -> list[tuple[StoredItem, str]]:
        waiting, current, gone = list(changed), self.items(), dict[int, tuple[StoredItem, str]]()
        while waiting:
            item, why = waiting.pop(0)
            if item.id not in gone:
                gone[item.id] = item, why
                self._set_standing(item, False, why)
                dependents = [other for other in current if item.id in other.facts.get("rests_on", ())]
                waiting += [(other, f"it depends on {item.item}, which was set aside") for other in dependents]
        return list(gone.values())

    def _set_standing(self, item: StoredItem, is_current: bool, why: str) -> None:
        self._db.execute("INSERT INTO standing VALUES (?, ?, ?)", (item.id, int(is_current), why))

    def add_chunk(
        self, item: StoredItem, chunk: int, start: int, records: Sequence[Record], *, counters: Mapping[str, float], seconds: float,
        cpu_seconds: float, answers: Mapping[str, Any], matmul_flops_per_s: float = 0.0,
    ) -> None:  # fmt: skip
        """Add a chunk in one transaction: its records, their cost and the responses that they are based on.

        start: position of the first record among the item's samples. seconds: duration of the chunk.
        cpu_seconds: CPU time of the process meanwhile, of all threads. answers: responses by content key.
        matmul_flops_per_s: measured speed of the model's device, 0 if not measured.
        """
        rows = [
            (item.id, chunk, start + i, make_storable(r.sample_id), codec.dumps(r.scores), r.error and make_storable(r.error),
             codec.dumps(r.artifacts)) for i, r in enumerate(records)
        ]  # fmt: skip
        with self._write():
            self._db.execute("INSERT INTO chunks VALUES (?, ?, ?)", (item.id, chunk, json.dumps(dict(counters))))
            self._db.execute("INSERT INTO timing VALUES (?, ?, ?, ?, ?)", (item.id, chunk, seconds, cpu_seconds, matmul_flops_per_s))
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._answers.insert(answers)
        self._answers.add_to_index(answers)

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

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

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

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        """Return the stored responses of these content keys, as a read-only cache."""
        with self._read():
            return self._answers.get(keys)

    @property
    def name(self) -> str:
        return str(self._read_rows(f"SELECT name FROM run {_LATEST}")[0][0])

    @property
    def suite(self) -> str:
        """The suite of the run, as canonical JSON."""
        return str(self._read_rows(f"SELECT suite FROM run {_LATEST}")[0][0])

    @property
    def version(self) -> str:
        return str(self._read_rows(f"SELECT version FROM run {_LATEST}")[0][0])

    def items(self) -> list[StoredItem]:
        """Return the items of the current suite, in order of declaration."""
        standing, planned = self._find_standing(), self._list_planned()
        return [item for item in self._list_items() if item.is_current(standing, planned)]

    def current(self, model: str, item: str, /) -> StoredItem | None:
        return next((i for i in self.items() if (i.model, i.item) == (model, item)), None)

    def set_aside(self) -> list[tuple[StoredItem, str]]:
        """Return the items that are no longer part of the suite, each with the reason. Their records are kept."""
        standing, planned = self._find_standing(), self._list_planned()
        gone = "it is no longer in the suite"
        return [
            (item, gone if standing.get(item.id, (True, ""))[0] else standing[item.id][1])
            for item in self._list_items()
            if not item.is_current(standing, planned)
        ]

    def _list_items(self) -> list[StoredItem]:
        columns = "id, model, key, num_samples, model_fingerprint, data_fingerprint, plugin, seed, facts, sample_set"
        rows = self._read_rows(f"SELECT {columns} FROM items ORDER BY id")
        with self._read():
            return [StoredItem.from_row(row) for row in rows]

    def _find_standing(self) -> dict[int, tuple[bool, str]]:
        rows = self._read_rows("SELECT item, is_current, why FROM standing ORDER BY rowid")
        return {item: (bool(is_current), why) for item, is_current, why in rows}

    def _list_planned(self) -> set[tuple[str, str]] | None:
        """Return the (model, item) pairs of the suite; None if the stored suite does not list them."""
        with self._read():
            planned = codec.loads(self.suite).get("planned")
        return {(model, item) for model, item, _ in planned} if planned else None

    def finished_chunks(self, item: StoredItem, /) -> set[int]:
        return {row[0] for row in self._read_rows("SELECT chunk FROM chunks WHERE item = ?", item.id)}

    def counters(self, item: StoredItem, /) -> dict[str, int]:
        """Return the counters of an item, summed over its chunks."""
        total: dict[str, int] = {}
        for (text,) in self._read_rows("SELECT counters FROM chunks WHERE item = ? ORDER BY chunk", item.id):
            for name, count in json.loads(text).items():
                total[name] = total.get(name, 0) + count
        return total

    def chunks(self, item: StoredItem, /) -> list[StoredChunk]:
        """Return the finished chunks of an item, in order."""
        with self._read():
            return read_chunks(self._db, item.id)

    def records(self, item: StoredItem, ids: Collection[str] | None = None, /, within: tuple[int, int] | None = None) -> Iterator[Record]:
        """Yield the records of an item in the order of its samples.

        ids: only these samples. within: only the samples at positions [start, end).
        """
        start, end = within or (0, item.num_samples)
        query = "SELECT sample_id, scores, error, artifacts FROM records WHERE item = ? AND ordinal >= ? AND ordinal < ? ORDER BY ordinal"
        for row in self._stream(query, item.id, start, end):
            if ids is None or row[0] in ids:
                yield self._decode_record(item, *row)

    def _decode_record(self, item: StoredItem, sample_id: str, scores: str, error: str | None, artifacts: str) -> Record:
        with self._read():
            return Record(sample_id, item.item, codec.loads(scores), error, codec.loads(artifacts))

    def count(self, item: StoredItem, /) -> int:
        """Return the number of records of an item."""
        return int(self._read_rows("SELECT COUNT(*) FROM records WHERE item = ?", item.id)[0][0])

    def records_by_sample(self, item: StoredItem, of: StoredItem, /) -> Iterator[tuple[int, Record]]:
        """Yield (position, record) of an item's records by the position of their sample among those of another item."""
        joined = "FROM records r JOIN samples s ON s.sample_set = ? AND s.id = r.sample_id WHERE r.item = ?"
        read = "r.sample_id, r.scores, r.error, r.artifacts"
        places = array("Q", (place for (place,) in self._stream(f"SELECT s.ordinal {joined} ORDER BY r.ordinal", of.sample_set, item.id)))
        if all(map(lt, places, places[1:])):
            for place, *row in self._stream(f"SELECT s.ordinal, {read} {joined} ORDER BY r.ordinal", of.sample_set, item.id):
                yield place, self._decode_record(item, *row)
            return
        # To sort whole records would hold all of them.
        for place, rowid in self._stream(f"SELECT s.ordinal, r.rowid {joined} ORDER BY s.ordinal", of.sample_set, item.id):
            (row,) = self._read_rows(f"SELECT {read} FROM records r WHERE r.rowid = ?", rowid)
            yield place, self._decode_record(item, *row)

    def join(self, item: StoredItem, artifacts: Collection[str], /) -> Iterator[tuple[Record, Any, str | None]]:
        """Yield (record, target, group) for each record of an item; the record has only the given artifacts."""
        query = (
            "SELECT r.sample_id, r.scores, r.error, r.artifacts, s.facts FROM records r"
            " LEFT JOIN samples s ON s.sample_set = ? AND s.id = r.sample_id WHERE r.item = ? ORDER BY r.ordinal"
        )
        for sample_id, scores, error, kept, facts in self._stream(query, item.sample_set, item.id):
            with self._read():
                target, group = codec.loads(facts) if facts is not None else (None, None)
                record = Record(sample_id, item.item, codec.loads(scores), error, codec.loads_some(kept, artifacts))
            yield record, target, group

    def samples(self, task: str, /) -> Iterator[Sample]:
        """Yield the samples of a task of the current suite, in their order."""
        items = {item.key.is_task: item for item in self.items() if item.task == task}
        return self.samples_of(items.get(True) or items[False]) if items else iter(())

    def samples_of(self, item: StoredItem, /) -> Iterator[Sample]:
        """Yield the samples of an item's task, in their order."""
        for (text,) in self._stream("SELECT sample FROM samples WHERE sample_set = ? ORDER BY ordinal", item.sample_set):
            with self._read():
                sample = codec.loads(text)
            yield sample

    # ── whole and unchanged ───────────────────────────────────────────────────────────────────────────────────────────

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
