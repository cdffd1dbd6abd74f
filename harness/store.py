"""The run store: one SQLite file in WAL mode. Records are only ever added, a chunk of them in one transaction.

Its tables are in `store_tables`.

A chunk is there whole or not at all: a killed process loses the chunk in flight and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import codec
from .answer_log import AnswerLog
from .errors import ConfigError, DataError, SchemaError, StoreError
from .samples import Record, Sample
from .sqlite_files import LOCK_NAME as LOCK_NAME
from .sqlite_files import connect as _connect
from .sqlite_files import damaged
from .sqlite_files import only_writer as only_writer
from .store_tables import APPEND_ONLY, READABLE, TABLES
from .store_tables import SCHEMA_VERSION as SCHEMA_VERSION
from .stored_item import StoredItem as StoredItem

FILE_NAME = "run.db"

_WRITING = ("journal_mode=WAL", "synchronous=NORMAL")
"""What a killed process has committed is safe; a power cut may undo the last chunks, each of them whole."""

_FINISHED = "finished"
"""Among the facts of a run whose records are all there: a digest of its chunks."""

_LATEST = "ORDER BY rowid DESC LIMIT 1"


class Store:
    """An open run. Made by `create` or `open`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self.path = path
        self._answers = AnswerLog(connection)
        self._declared: dict[str, str] = {}  # task: digest of its samples, once they are in the store

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
            with store._writing():
                for statement in (TABLES + APPEND_ONLY).split(";\n"):
                    if statement.strip():
                        store._db.execute(statement)
                store._db.execute("INSERT INTO run VALUES (?, ?, ?, ?)", (SCHEMA_VERSION, name, suite, version))
        finally:
            store.close()
        fresh.replace(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False) -> Store:
        """An existing store. Raises `StoreError` when it is no run store or broken, `SchemaError` when another version wrote it."""
        if not path.is_file():
            raise StoreError(f"there is no run at {path}; 'windtunnel run' makes one")
        store = cls(_connect(path, readonly=readonly), path)
        try:
            row = store._db.execute(f"SELECT schema_version, version FROM run {_LATEST}").fetchone()
            if row is not None and row[0] in READABLE and not readonly:
                for setting in _WRITING:
                    store._db.execute(f"PRAGMA {setting}")
        except sqlite3.DatabaseError as error:
            store.close()
            raise damaged(path, error) from error
        if row is None or row[0] not in READABLE:
            store.close()
            found = "no schema version" if row is None else f"schema {row[0]}, written by windtunnel {row[1]}"
            reads = " and ".join(map(str, READABLE))
            raise SchemaError(f"{path} has {found}; this version reads schema {reads}. Install the version that wrote it")
        return store

    def close(self) -> None:
        self._db.close()

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def amend(self, suite: str, version: str, /) -> None:
        """The suite as it reads now: same identity, other gates or reports; and the schema of what is added. The former row stays."""
        name = self.name
        with self._writing():
            self._db.execute("INSERT INTO run VALUES (?, ?, ?, ?)", (SCHEMA_VERSION, name, suite, version))

    def finish(self) -> None:
        """Say that all that was planned is there, with a digest of all chunks: a chunk that goes away later is missed (`verify`)."""
        facts, found = codec.loads(self.suite), self._all_chunks()
        if facts.get(_FINISHED) != found:
            self.amend(codec.dumps({**facts, _FINISHED: found}), self.version)

    def _all_chunks(self) -> str:
        return _digest(self._streamed("SELECT item, chunk, digest FROM chunks ORDER BY item, chunk"))

    def add_item(self, item: StoredItem, samples: Sequence[Sample], /) -> StoredItem:
        """Declare an item and its samples before its first record. Declared before with the same identity: the stored one comes back.

        Raises `ConfigError` where model, data, plugin or seed are not those of the records already there.
        """
        known = next((i for i in self.items() if (i.model, i.item) == (item.model, item.item)), None)
        if known is not None:
            changed = [name for name, value in known.identity.items() if item.identity.get(name) != value]
            if changed:
                raise ConfigError(
                    f"{self.path.parent} holds records of {item.item!r} on {item.model!r} made with another {', '.join(changed)}; "
                    "results of both cannot be one run. Choose a new folder with --out"
                )
            return known
        with self._writing():
            item = replace(item, facts={**item.facts, "samples_sha256": self._declare(item.task, samples)})
            row = (*(getattr(item, n) for n in ("model", "item", "kind", "task", "num_samples", "model_fingerprint", "data_fingerprint")),
                   item.plugin, item.seed, codec.dumps(item.facts))  # fmt: skip
            cursor = self._db.execute(
                "INSERT INTO items (model, item, kind, task, num_samples, model_fingerprint, data_fingerprint, plugin, seed, facts)"
                " VALUES (?,?,?,?,?,?,?,?,?,?)", row)  # fmt: skip
        return next(i for i in self.items() if i.id == cursor.lastrowid)

    def _declare(self, task: str, samples: Sequence[Sample]) -> str:
        """Write the task's samples, once; their digest."""
        if task not in self._declared:
            whole = hashlib.sha256()

            def rows() -> Iterator[tuple[object, ...]]:
                # One at a time: all of them as text may be more than fits into memory.
                for ordinal, sample in enumerate(samples):
                    row = (sample.id, *_sample_texts(task, sample))
                    whole.update(_digested(row))
                    yield (task, ordinal, *row)

            self._db.executemany("INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?, ?)", rows())
            self._declared[task] = whole.hexdigest()
        return self._declared[task]

    def add_chunk(
        self, item: StoredItem, chunk: int, start: int, records: Sequence[Record], *, counters: Mapping[str, int], seconds: float,
        answers: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """One transaction: the records, what they cost and the answers they rest on."""
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
            self._db.execute(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", (item.id, chunk, json.dumps(dict(counters)), seconds, _digest(rows))
            )
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._answers.insert(answers)
        self._answers.noted(answers)

    @contextmanager
    def _writing(self) -> Iterator[None]:
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
        except (ValueError, KeyError, TypeError) as error:  # text that the codec did not write
            raise StoreError(f"{self.path} holds something that cannot be read back ({error}); see 'windtunnel verify'") from error

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
    def schema(self) -> int:
        return int(self._rows(f"SELECT schema_version FROM run {_LATEST}")[0][0])

    @property
    def name(self) -> str:
        return str(self._rows(f"SELECT name FROM run {_LATEST}")[0][0])

    @property
    def suite(self) -> str:
        """The exact suite that made the run, as canonical JSON."""
        return str(self._rows(f"SELECT suite FROM run {_LATEST}")[0][0])

    @property
    def planned_suite(self) -> str:
        """The same without what `finish` added."""
        return codec.dumps({name: value for name, value in codec.loads(self.suite).items() if name != _FINISHED})

    @property
    def version(self) -> str:
        return str(self._rows(f"SELECT version FROM run {_LATEST}")[0][0])

    def items(self) -> list[StoredItem]:
        columns = "id, model, item, kind, task, num_samples, model_fingerprint, data_fingerprint, plugin, seed, facts"
        rows = self._rows(f"SELECT {columns} FROM items ORDER BY id")
        with self._reading():
            return [StoredItem(**dict(zip(columns.split(", "), row[:-1], strict=False)), facts=codec.loads(row[-1])) for row in rows]

    def finished_chunks(self, item: StoredItem, /) -> set[int]:
        return {row[0] for row in self._rows("SELECT chunk FROM chunks WHERE item = ?", item.id)}

    def counters(self, item: StoredItem, /) -> tuple[dict[str, int], float]:
        """Summed counters of the item's chunks, and their seconds."""
        total: dict[str, int] = {}
        seconds = 0.0
        for text, spent in self._rows("SELECT counters, seconds FROM chunks WHERE item = ? ORDER BY chunk", item.id):
            seconds += spent
            for name, count in json.loads(text).items():
                total[name] = total.get(name, 0) + count
        return total, seconds

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
        query = f"SELECT sample FROM samples s WHERE task = ? AND {have}{either} ORDER BY ordinal LIMIT ?"
        rows = self._rows(query, item.task, item.id, *(i.id for i in among), most)
        with self._reading():
            return [codec.loads(text) for (text,) in rows]

    def joined(self, item: StoredItem, artifacts: Collection[str], /) -> Iterator[tuple[Record, Any, str | None]]:
        """Records, with these of their artifacts only, and their samples' target and group."""
        query = (
            "SELECT r.sample_id, r.scores, r.error, r.artifacts, s.facts FROM records r"
            " LEFT JOIN samples s ON s.task = ? AND s.id = r.sample_id WHERE r.item = ? ORDER BY r.ordinal"
        )
        for sample_id, scores, error, kept, facts in self._streamed(query, item.task, item.id):
            with self._reading():
                target, group = codec.loads(facts) if facts is not None else (None, None)
                record = Record(sample_id, item.item, codec.loads(scores), error, codec.loads_some(kept, artifacts))
            yield record, target, group

    def samples(self, task: str, /) -> Iterator[Sample]:
        with self._reading():
            for (text,) in self._db.execute("SELECT sample FROM samples WHERE task = ? ORDER BY ordinal", (task,)):
                yield codec.loads(text)

    def verify(self) -> list[str]:
        """What is wrong with the records, a sentence each; empty when all is well."""
        try:
            wrong = [f"SQLite: {row[0]}" for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"]
            items = self.items()
            wrong += [*self._wrong_samples(items), *(sentence for item in items for sentence in self._wrong_records(item))]
            return [*wrong, *self._missing(items)]
        except StoreError as error:
            return [str(error)]

    def _wrong_samples(self, items: Sequence[StoredItem]) -> Iterator[str]:
        for task, expected in {i.task: i.facts.get("samples_sha256") for i in items}.items():
            if _digest(self._streamed("SELECT id, facts, sample FROM samples WHERE task = ? ORDER BY ordinal", task)) != expected:
                yield f"{task}: the samples are not those that were written"

    def _missing(self, items: Sequence[StoredItem]) -> Iterator[str]:
        """Chunks are written one after the other, an item is declared when the one before it is done: a gap is none that a stop left."""
        for item in items:
            chunks, num = sorted(self.finished_chunks(item)), self.count(item)
            if chunks != list(range(len(chunks))) or (item is not items[-1] and num < item.num_samples):
                yield f"{item.item} on {item.model}: {item.num_samples - num} records are missing, and later ones are there"
        if codec.loads(self.suite).get(_FINISHED) not in (None, self._all_chunks()):
            yield "the run was finished, and its chunks are not those that it had then"

    def _wrong_records(self, item: StoredItem) -> Iterator[str]:
        where = f"{item.item} on {item.model}"
        total = 0
        for chunk, digest in self._rows("SELECT chunk, digest FROM chunks WHERE item = ? ORDER BY chunk", item.id):
            rows = self._rows(
                "SELECT item, chunk, ordinal, sample_id, scores, error, artifacts FROM records"
                " WHERE item = ? AND chunk = ? ORDER BY ordinal",
                item.id,
                chunk,
            )
            total += len(rows)
            if _digest(rows) != digest:
                yield f"{where}: the records of chunk {chunk} are not those that were written"
        found = self.count(item)
        if found != total:
            yield f"{where}: {found - total} records belong to no finished chunk"
        if found > item.num_samples:
            yield f"{where}: {found} records for {item.num_samples} samples"


def _sample_texts(task: str, sample: Sample) -> tuple[str, str]:
    """The facts and the whole sample."""
    try:
        return codec.dumps((sample.target, sample.group)), codec.dumps(sample)
    except (TypeError, ValueError) as error:
        raise DataError(f"task {task!r}: the sample {sample.id!r} cannot be recorded: {error}") from error


def _digest(rows: Iterable[tuple[Any, ...]]) -> str:
    whole = hashlib.sha256()
    for row in rows:
        whole.update(_digested(row))
    return whole.hexdigest()


def _digested(row: tuple[object, ...]) -> bytes:
    """A row of text, whole numbers and None as bytes, which no other row has."""
    return ascii(row).encode("ascii")


def _storable(text: str) -> str:
    """SQLite text is UTF-8: a lone surrogate is written as its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
