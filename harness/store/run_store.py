"""The run store: one SQLite file in WAL mode. Records are only ever added, a chunk of them in one transaction.

Its tables are in `tables`, what tells a change of any of them in `chain`.

A chunk is there whole or not at all: a killed process loses the chunk in flight and nothing else.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..api.errors import ConfigError, SchemaError, StoreError, WindtunnelError
from ..api.samples import Record, Sample
from . import chain, codec
from .answer_log import AnswerLog
from .sample_sets import SampleSets
from .sqlite_files import connect as _connect
from .sqlite_files import damaged
from .stored_item import StoredItem, difference, obstacle
from .tables import COVERED, SCHEMA_VERSION, make_tables, own_schema, schema_of

FILE_NAME = "run.db"

_WRITING = ("journal_mode=WAL", "synchronous=NORMAL")
"""What a killed process has committed is safe; a power cut may undo the last chunks, each of them whole."""

_MOST_TOLD = 20
"""Sentences about what is wrong with a store."""

_LATEST = "ORDER BY rowid DESC LIMIT 1"


class Store:
    """An open run. Made by `create` or `open`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self.path = path
        self._answers = AnswerLog(connection)
        self._sample_sets = SampleSets(connection)

    @classmethod
    def create(cls, path: Path, *, name: str, suite: str, version: str) -> Store:
        """A new store. Raises `StoreError` where a file is already in its place."""
        if path.exists():
            raise StoreError(f"{path} exists; a run is never overwritten")
        # Made whole beside its place and then moved into it: a process that is killed here leaves no half-made run.
        fresh = path.with_name(f"{path.name}.new")
        for leftover in (fresh, fresh.with_name(f"{fresh.name}-journal")):
            leftover.unlink(missing_ok=True)
        store = cls(_connect(fresh), fresh)
        try:
            with store._transaction():
                make_tables(store._db)
            with store._writing():
                store._db.execute("INSERT INTO run VALUES (?, ?, ?, ?)", (SCHEMA_VERSION, name, suite, version))
        finally:
            store.close()
        fresh.replace(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False, checked: bool = True) -> Store:
        """An existing store. ``readonly``: all that is read is of one moment, whatever another process writes meanwhile. ``checked``: all
        rows are held against the chain of digests first, a second of CPU for 100,000 records; without it, `verify` says what is wrong.

        Raises `StoreError` when it is no run store, broken, or not what was written; `SchemaError` when another version wrote it.
        """
        if not path.is_file():
            raise StoreError(f"there is no run at {path}; 'windtunnel run' makes one")
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
                found = "no schema version" if row is None else f"schema {row[0]}, written by windtunnel {row[1]}"
                raise SchemaError(f"{self.path} has {found}; this version reads schema {SCHEMA_VERSION}. Install the version that wrote it")
            if not readonly:
                for setting in _WRITING:
                    self._db.execute(f"PRAGMA {setting}")
        except sqlite3.DatabaseError as error:
            raise damaged(self.path, error) from error

    def close(self) -> None:
        self._db.close()

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def amend(self, suite: str, version: str, /) -> None:
        """The suite as it reads now. The former row stays."""
        name = self.name
        with self._writing():
            self._db.execute("INSERT INTO run VALUES (?, ?, ?, ?)", (SCHEMA_VERSION, name, suite, version))

    def add_item(self, item: StoredItem, samples: Sequence[Sample], /) -> StoredItem:
        """Declare an item and its samples before its first record. Declared before with the same identity: the stored
        one comes back, also where it was set aside since. One of the same name and another identity is set aside as by
        `set_changed_aside`."""
        self.set_changed_aside([item])
        known = self.current(item.model, item.item)
        if known is not None:
            return known
        before = next((i for i, _ in self.set_aside() if i.is_same(item)), None)
        with self._writing():
            if before is not None:
                self._stand(before, True, "it is what it was again")
                return before
            sample_set = self._sample_sets.declare(item.task, samples)
            row = (*(getattr(item, n) for n in ("model", "item", "kind", "task", "num_samples", "model_fingerprint", "data_fingerprint")),
                   item.plugin, item.seed, codec.dumps(item.facts), sample_set)  # fmt: skip
            cursor = self._db.execute(
                "INSERT INTO items (model, item, kind, task, num_samples, model_fingerprint, data_fingerprint, plugin, seed, facts,"
                " sample_set) VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)  # fmt: skip
        return next(i for i in self._all_items() if i.id == cursor.lastrowid)

    def set_changed_aside(self, now: Iterable[StoredItem], /) -> list[tuple[StoredItem, str]]:
        """Set aside all records that are not of ``now``'s items, and all that rests on them: those of which the suite says
        something else now, and those whose model, data or code is not what it was. Each comes back with why; their
        records are kept.

        Raises `ConfigError`, and sets nothing aside, where records can be neither kept nor replaced (`stored_item.obstacle`).
        """
        there = {(known.model, known.item): known for known in self.items()}
        pairs = [(there[key], item) for item in now if (key := (item.model, item.item)) in there]
        changed: list[tuple[StoredItem, str]] = []
        for known, item in pairs:
            if known.asked != item.asked:
                changed.append((known, "the suite says something else of it now"))
            elif why := obstacle(known, item):
                told = f"{self.path.parent} holds records of {known.item!r} on {known.model!r} {why}"
                raise ConfigError(f"{told}. Choose a new folder with --out")
            elif why := difference(known, item):
                changed.append((known, f"it was {why}"))
        if not changed:
            return []
        with self._writing():
            return self._all_aside(changed)

    def _all_aside(self, changed: Iterable[tuple[StoredItem, str]]) -> list[tuple[StoredItem, str]]:
        """With an item that is set aside go those that rest on it."""
        waiting, current, gone = list(changed), self.items(), dict[int, tuple[StoredItem, str]]()
        while waiting:
            item, why = waiting.pop(0)
            if item.id not in gone:
                gone[item.id] = item, why
                self._stand(item, False, why)
                rests = [other for other in current if item.id in other.facts.get("rests_on", ())]
                waiting += [(other, f"it rests on {item.item}, which was set aside") for other in rests]
        return list(gone.values())

    def _stand(self, item: StoredItem, is_current: bool, why: str) -> None:
        self._db.execute("INSERT INTO standing VALUES (?, ?, ?)", (item.id, int(is_current), why))

    def add_chunk(
        self, item: StoredItem, chunk: int, start: int, records: Sequence[Record], *, counters: Mapping[str, int], seconds: float,
        answers: Mapping[str, Any], matmul_flops_per_s: float = 0.0,
    ) -> None:  # fmt: skip
        """One transaction: the records, what they cost and the answers they rest on. ``matmul_flops_per_s``: of the model's device."""
        rows = [
            (
                item.id,
                chunk,
                start + i,
                _storable(r.sample_id),
                codec.dumps(r.scores),
                r.error and _storable(r.error),
                codec.dumps(r.artifacts),
            )
            for i, r in enumerate(records)
        ]
        with self._writing():
            self._db.execute("INSERT INTO chunks VALUES (?, ?, ?)", (item.id, chunk, json.dumps(dict(counters))))
            self._db.execute("INSERT INTO timing VALUES (?, ?, ?, ?)", (item.id, chunk, seconds, matmul_flops_per_s))
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._answers.insert(answers)
        self._answers.noted(answers)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction that ends with a link of the chain."""
        with self._transaction(), chain.linked(self._db, COVERED):
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
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
                f"cannot write to {self.path} ({error}); all finished chunks are safe. Then {fix} and give the same command again"
            ) from error

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise damaged(self.path, error) from error
        except WindtunnelError:
            raise
        except Exception as error:  # text that the codec did not write, or that a plugin's modality cannot read
            raise StoreError(
                f"{self.path} holds something that cannot be read back ({type(error).__name__}: {error}); see 'windtunnel verify'"
            ) from error

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._reading():
            return self._db.execute(query, values).fetchall()

    def _streamed(self, query: str, *values: object) -> Iterator[Any]:
        """One row at a time."""
        with self._reading():
            yield from self._db.execute(query, values)

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        """The store as an answer cache that is only read."""
        with self._reading():
            return self._answers.get(keys)

    @property
    def name(self) -> str:
        return str(self._rows(f"SELECT name FROM run {_LATEST}")[0][0])

    @property
    def suite(self) -> str:
        """The exact suite that made the run, as canonical JSON."""
        return str(self._rows(f"SELECT suite FROM run {_LATEST}")[0][0])

    @property
    def version(self) -> str:
        return str(self._rows(f"SELECT version FROM run {_LATEST}")[0][0])

    def items(self) -> list[StoredItem]:
        """Those of the suite as it reads now, in the order in which they were declared."""
        standing, planned = self._standing(), self._planned()
        return [item for item in self._all_items() if _is_current(item, standing, planned)]

    def current(self, model: str, item: str, /) -> StoredItem | None:
        return next((i for i in self.items() if (i.model, i.item) == (model, item)), None)

    def set_aside(self) -> list[tuple[StoredItem, str]]:
        """Items that the suite once had, and why it has not any more. Their records are kept."""
        standing, planned = self._standing(), self._planned()
        gone = "the suite has no such item now"
        return [
            (item, gone if standing.get(item.id, (True, ""))[0] else standing[item.id][1])
            for item in self._all_items()
            if not _is_current(item, standing, planned)
        ]

    def _all_items(self) -> list[StoredItem]:
        columns = "id, model, item, kind, task, num_samples, model_fingerprint, data_fingerprint, plugin, seed, sample_set, facts"
        rows = self._rows(f"SELECT {columns} FROM items ORDER BY id")
        with self._reading():
            return [StoredItem(**dict(zip(columns.split(", "), row[:-1], strict=False)), facts=codec.loads(row[-1])) for row in rows]

    def _standing(self) -> dict[int, tuple[bool, str]]:
        rows = self._rows("SELECT item, is_current, why FROM standing ORDER BY rowid")
        return {item: (bool(is_current), why) for item, is_current, why in rows}

    def _planned(self) -> set[tuple[str, str]] | None:
        """Models and items of the suite; None where it does not say."""
        with self._reading():
            planned = codec.loads(self.suite).get("planned")
        return {(model, item) for model, item, _ in planned} if planned else None

    def finished_chunks(self, item: StoredItem, /) -> set[int]:
        return {row[0] for row in self._rows("SELECT chunk FROM chunks WHERE item = ?", item.id)}

    def counters(self, item: StoredItem, /) -> dict[str, int]:
        """Summed over the item's chunks."""
        total: dict[str, int] = {}
        for (text,) in self._rows("SELECT counters FROM chunks WHERE item = ? ORDER BY chunk", item.id):
            for name, count in json.loads(text).items():
                total[name] = total.get(name, 0) + count
        return total

    def timing(self, item: StoredItem, /) -> tuple[float, float]:
        """The seconds of the item's chunks, and what products of matrices reached on its model's device (0: not measured)."""
        spent = self._rows("SELECT seconds, matmul_flops_per_s FROM timing WHERE item = ? ORDER BY chunk", item.id)
        return sum(seconds for seconds, _ in spent), max((peak for _, peak in spent), default=0.0)

    def records(self, item: StoredItem, ids: Collection[str] | None = None, /, within: tuple[int, int] | None = None) -> Iterator[Record]:
        """In the order of the samples. ``ids``: those of these samples only. ``within``: of the task's samples from one place to before
        another."""
        start, end = within or (0, item.num_samples)
        query = "SELECT sample_id, scores, error, artifacts FROM records WHERE item = ? AND ordinal >= ? AND ordinal < ? ORDER BY ordinal"
        for sample_id, scores, error, artifacts in self._streamed(query, item.id, start, end):
            if ids is None or sample_id in ids:
                with self._reading():
                    record = Record(sample_id, item.item, codec.loads(scores), error, codec.loads(artifacts))
                yield record

    def count(self, item: StoredItem, /) -> int:
        """How many records it has."""
        return int(self._rows("SELECT COUNT(*) FROM records WHERE item = ?", item.id)[0][0])

    def first_samples(self, item: StoredItem, most: int, among: Sequence[StoredItem] = (), /) -> list[Sample]:
        """The first samples that the item has a record of, and one of ``among`` as well where there are any."""
        have = "s.id IN (SELECT sample_id FROM records WHERE item = ?)"
        either = f" AND s.id IN (SELECT sample_id FROM records WHERE item IN ({','.join('?' * len(among))}))" if among else ""
        query = f"SELECT sample FROM samples s WHERE sample_set = ? AND {have}{either} ORDER BY ordinal LIMIT ?"
        rows = self._rows(query, item.sample_set, item.id, *(i.id for i in among), most)
        with self._reading():
            return [codec.loads(text) for (text,) in rows]

    def joined(self, item: StoredItem, artifacts: Collection[str], /) -> Iterator[tuple[Record, Any, str | None]]:
        """Records, with these of their artifacts only, and their samples' target and group."""
        query = (
            "SELECT r.sample_id, r.scores, r.error, r.artifacts, s.facts FROM records r"
            " LEFT JOIN samples s ON s.sample_set = ? AND s.id = r.sample_id WHERE r.item = ? ORDER BY r.ordinal"
        )
        for sample_id, scores, error, kept, facts in self._streamed(query, item.sample_set, item.id):
            with self._reading():
                target, group = codec.loads(facts) if facts is not None else (None, None)
                record = Record(sample_id, item.item, codec.loads(scores), error, codec.loads_some(kept, artifacts))
            yield record, target, group

    def samples(self, task: str, /) -> Iterator[Sample]:
        """Of the task as the suite has it now, in their order."""
        sets = {item.kind == "task": item.sample_set for item in self.items() if item.task == task}
        number = sets.get(True, sets.get(False, 0))
        with self._reading():
            for (text,) in self._db.execute("SELECT sample FROM samples WHERE sample_set = ? ORDER BY ordinal", (number,)):
                yield codec.loads(text)

    # ── whole and unchanged ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def digest(self) -> str:
        """The head of the chain: of all that the run holds but its timing. Two equal runs have equal ones."""
        with self._reading():
            return chain.head(self._db)

    def verify(self) -> list[str]:
        """What is wrong with the file and its rows, a sentence each; empty when all is well."""
        try:
            with self._reading():
                return [f"SQLite: {row[0]}" for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"] + self._changed()
        except StoreError as error:
            return [str(error)]

    def _require_unchanged(self) -> None:
        with self._reading():
            wrong = self._changed()
        if wrong:
            more = [f"and {len(wrong) - _MOST_TOLD} more"] if len(wrong) > _MOST_TOLD else []
            told = "\n  ".join([*wrong[:_MOST_TOLD], *more])
            raise StoreError(f"{self.path} is not what was written:\n  {told}\nRestore it from a copy, or run again with --out")

    def _changed(self) -> list[str]:
        theirs, ours = schema_of(self._db), own_schema()
        other = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
        if other:
            return [f"its tables are not those of a run store: {', '.join(other)}"]
        return list(chain.faults(self._db, COVERED))


def _is_current(item: StoredItem, standing: Mapping[int, tuple[bool, str]], planned: Collection[tuple[str, str]] | None) -> bool:
    return standing.get(item.id, (True, ""))[0] and (planned is None or (item.model, item.item) in planned)


def _storable(text: str) -> str:
    """SQLite text is UTF-8: a lone surrogate is written as its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
