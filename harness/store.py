"""The run store: one SQLite file in WAL mode. Records are only ever added, a chunk of them in one transaction.

run          one row: schema version, name, the suite that made it
items        a row an item: what was asked of which model, with the fingerprints of model, data and plugin, and the seed
samples      what each task's samples are, once
chunks       a row a finished chunk of an item: its counters, its seconds, and a digest of its records
records      a row a sample and item: scores, error, artifacts
answers      the model's answers by content key: the run's own cache, so that a resumed run sees what an uninterrupted one saw

A chunk is there whole or not at all: a killed process loses the chunk in flight and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import codec
from .engine.cache import insert_answers, select_answers
from .errors import SchemaError, StoreError
from .samples import Record, Sample

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
FILE_NAME = "run.db"

_TABLES = """
CREATE TABLE run (schema_version INTEGER NOT NULL, name TEXT NOT NULL, suite TEXT NOT NULL, version TEXT NOT NULL);
CREATE TABLE items (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, item TEXT NOT NULL, kind TEXT NOT NULL, task TEXT NOT NULL, num_samples INTEGER NOT NULL,
    model_fingerprint TEXT NOT NULL, data_fingerprint TEXT NOT NULL, plugin TEXT NOT NULL, seed INTEGER NOT NULL, facts TEXT NOT NULL,
    UNIQUE (model, item));
CREATE TABLE samples (
    task TEXT NOT NULL, id TEXT NOT NULL, ordinal INTEGER NOT NULL, sample TEXT NOT NULL, PRIMARY KEY (task, id)) WITHOUT ROWID;
CREATE TABLE chunks (
    item INTEGER NOT NULL REFERENCES items, chunk INTEGER NOT NULL, counters TEXT NOT NULL, seconds REAL NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (item, chunk)) WITHOUT ROWID;
CREATE TABLE records (
    item INTEGER NOT NULL REFERENCES items, chunk INTEGER NOT NULL, ordinal INTEGER NOT NULL, sample_id TEXT NOT NULL,
    scores TEXT NOT NULL, error TEXT, artifacts TEXT NOT NULL, PRIMARY KEY (item, ordinal)) WITHOUT ROWID;
CREATE TABLE answers (key TEXT PRIMARY KEY, response TEXT NOT NULL) WITHOUT ROWID;
"""
_APPEND_ONLY = "".join(
    f"CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END;\n"
    for table in ("run", "items", "samples", "chunks", "records")
    for verb in ("update", "delete")
)


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One item of the plan as it was run. ``facts``: settings, threat, metrics, notes: what a scorecard needs beside the records."""

    id: int
    model: str
    item: str
    kind: str
    task: str
    num_samples: int
    model_fingerprint: str
    data_fingerprint: str
    plugin: str
    seed: int
    facts: Mapping[str, Any]

    @property
    def identity(self) -> dict[str, object]:
        """What must be the same when a run is resumed."""
        named = ("kind", "task", "num_samples", "model_fingerprint", "data_fingerprint", "plugin", "seed")
        return {name: getattr(self, name) for name in named}


class Store:
    """An open run. Made by `create` or `open`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self.path = path

    @classmethod
    def create(cls, path: Path, *, name: str, suite: str, version: str) -> Store:
        """A new store. Raises `StoreError` where a file is already in its place."""
        if path.exists():
            raise StoreError(f"{path} exists; a run is never overwritten")
        store = cls(_connect(path), path)
        with store._writing():
            for statement in (_TABLES + _APPEND_ONLY).split(";\n"):
                if statement.strip():
                    store._db.execute(statement)
            store._db.execute("INSERT INTO run VALUES (?, ?, ?, ?)", (SCHEMA_VERSION, name, suite, version))
        return store

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False) -> Store:
        """An existing store. Raises `StoreError` when it is no run store or broken, `SchemaError` when another version wrote it."""
        if not path.is_file():
            raise StoreError(f"there is no run at {path}; 'windtunnel run' makes one")
        store = cls(_connect(path, readonly=readonly), path)
        try:
            row = store._db.execute("SELECT schema_version, version FROM run").fetchone()
        except sqlite3.DatabaseError as error:
            store.close()
            raise StoreError(
                f"{path} is not a run store or is damaged ({error}); restore it from a copy or run again with --out"
            ) from error
        if row is None or row[0] != SCHEMA_VERSION:
            store.close()
            found = "no schema version" if row is None else f"schema {row[0]}, written by windtunnel {row[1]}"
            raise SchemaError(f"{path} has {found}; this version reads schema {SCHEMA_VERSION}. Install the version that wrote it")
        return store

    def close(self) -> None:
        self._db.close()

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_item(self, item: StoredItem, samples: Sequence[Sample], /) -> StoredItem:
        """Declare an item and its samples before its first record. Declared before with the same identity: the stored one comes back.

        Raises `StoreError` where model, data, plugin or seed are not those of the records already there.
        """
        known = next((i for i in self.items() if (i.model, i.item) == (item.model, item.item)), None)
        if known is not None:
            changed = [name for name, value in known.identity.items() if item.identity[name] != value]
            if changed:
                raise StoreError(
                    f"{self.path.parent} holds records of {item.item!r} on {item.model!r} made with another {', '.join(changed)}; "
                    "results of both cannot be one run. Choose a new folder with --out"
                )
            return known
        with self._writing():
            row = (*(getattr(item, n) for n in ("model", "item", "kind", "task", "num_samples", "model_fingerprint", "data_fingerprint")),
                   item.plugin, item.seed, codec.dumps(item.facts))  # fmt: skip
            cursor = self._db.execute(
                "INSERT INTO items (model, item, kind, task, num_samples, model_fingerprint, data_fingerprint, plugin, seed, facts)"
                " VALUES (?,?,?,?,?,?,?,?,?,?)", row)  # fmt: skip
            rows = ((item.task, s.id, ordinal, codec.dumps(s)) for ordinal, s in enumerate(samples))
            self._db.executemany("INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?)", rows)
        return next(i for i in self.items() if i.id == cursor.lastrowid)

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
            insert_answers(self._db, answers)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            fix = "free some space" if "full" in str(error) or "I/O" in str(error) else "make sure no other process writes to it"
            raise StoreError(
                f"cannot write to {self.path} ({error}); all finished chunks are safe. Then {fix} and give the same command again"
            ) from error

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        """The store as an answer cache that is only read."""
        return select_answers(self._db, keys)

    @property
    def name(self) -> str:
        return str(self._db.execute("SELECT name FROM run").fetchone()[0])

    @property
    def suite(self) -> str:
        """The exact suite that made the run, as canonical JSON."""
        return str(self._db.execute("SELECT suite FROM run").fetchone()[0])

    @property
    def version(self) -> str:
        return str(self._db.execute("SELECT version FROM run").fetchone()[0])

    def items(self) -> list[StoredItem]:
        columns = "id, model, item, kind, task, num_samples, model_fingerprint, data_fingerprint, plugin, seed, facts"
        rows = self._db.execute(f"SELECT {columns} FROM items ORDER BY id")
        return [StoredItem(**dict(zip(columns.split(", "), row[:-1], strict=False)), facts=codec.loads(row[-1])) for row in rows]

    def finished_chunks(self, item: StoredItem, /) -> set[int]:
        return {row[0] for row in self._db.execute("SELECT chunk FROM chunks WHERE item = ?", (item.id,))}

    def counters(self, item: StoredItem, /) -> tuple[dict[str, int], float]:
        """Summed counters of the item's chunks, and their seconds."""
        total: dict[str, int] = {}
        seconds = 0.0
        for text, spent in self._db.execute("SELECT counters, seconds FROM chunks WHERE item = ? ORDER BY chunk", (item.id,)):
            seconds += spent
            for name, count in json.loads(text).items():
                total[name] = total.get(name, 0) + count
        return total, seconds

    def records(self, item: StoredItem, /) -> Iterator[Record]:
        """In the order of the samples."""
        rows = self._db.execute("SELECT sample_id, scores, error, artifacts FROM records WHERE item = ? ORDER BY ordinal", (item.id,))
        for sample_id, scores, error, artifacts in rows:
            yield Record(sample_id, item.item, codec.loads(scores), error, codec.loads(artifacts))

    def samples(self, task: str, /) -> Iterator[Sample]:
        for (text,) in self._db.execute("SELECT sample FROM samples WHERE task = ? ORDER BY ordinal", (task,)):
            yield codec.loads(text)

    def verify(self) -> list[str]:
        """What is wrong with the records, a sentence each; empty when all is well."""
        wrong = [f"SQLite: {row[0]}" for row in self._db.execute("PRAGMA integrity_check") if row[0] != "ok"]
        for item in self.items():
            where = f"{item.item} on {item.model}"
            total = 0
            for chunk, digest in self._db.execute("SELECT chunk, digest FROM chunks WHERE item = ? ORDER BY chunk", (item.id,)).fetchall():
                rows = self._db.execute(
                    "SELECT item, chunk, ordinal, sample_id, scores, error, artifacts FROM records"
                    " WHERE item = ? AND chunk = ? ORDER BY ordinal",
                    (item.id, chunk),
                ).fetchall()
                total += len(rows)
                if _digest(rows) != digest:
                    wrong.append(f"{where}: the records of chunk {chunk} are not those that were written")
            found = self._db.execute("SELECT COUNT(*) FROM records WHERE item = ?", (item.id,)).fetchone()[0]
            if found != total:
                wrong.append(f"{where}: {found - total} records belong to no finished chunk")
            if found > item.num_samples:
                wrong.append(f"{where}: {found} records for {item.num_samples} samples")
        return wrong


class Run:
    """A run folder, for reading: ``Run.load(path).samples()`` and ``.metrics()`` are pandas frames."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Raises `StoreError` where the folder holds no readable run."""
        run = cls(Path(path))
        Store.open(run.path / FILE_NAME, readonly=True).close()
        return run

    def samples(self) -> pd.DataFrame:
        """A row a sample and item: model, item, kind, task, sample_id, target, error, each score as ``score.NAME``, each small artifact
        (prediction, num_queries, ...) by its name, and the fingerprints of model, data and plugin, and the seed."""
        import pandas as pd

        store = Store.open(self.path / FILE_NAME, readonly=True)
        try:
            rows = []
            targets = {task: {s.id: s.target for s in store.samples(task)} for task in {i.task for i in store.items()}}
            for item in store.items():
                head = {"model": item.model, "item": item.item, "kind": item.kind, "task": item.task}
                tail = {name: getattr(item, name) for name in ("model_fingerprint", "data_fingerprint", "plugin", "seed")}
                for record in store.records(item):
                    small = {k: v for k, v in record.artifacts.items() if isinstance(v, str | int | float | bool) or v is None}
                    scores = {f"score.{name}": value for name, value in record.scores.items()}
                    target = targets[item.task].get(record.sample_id)
                    rows.append({**head, "sample_id": record.sample_id, "target": target, "error": record.error, **scores, **small, **tail})
            return pd.DataFrame(rows)
        finally:
            store.close()

    def metrics(self) -> pd.DataFrame:
        """A row a metric: model, item, metric, dimension, value, low, high, n, n_unscored, reason. Computed from the records."""
        import pandas as pd

        from .summary import summarise

        rows = summarise(self.path).rows
        names = ("value", "low", "high", "n", "n_unscored", "reason")
        return pd.DataFrame(
            [
                {
                    "model": r.model,
                    "item": r.item,
                    "metric": r.metric,
                    "dimension": r.dimension,
                    **{n: getattr(r.estimate, n) for n in names},
                }
                for r in rows
            ]
        )


def _connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        connection.execute("PRAGMA foreign_keys=ON")
        if readonly:
            connection.execute("PRAGMA query_only=ON")
        else:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} cannot be opened as a run store ({error}); it is damaged or not a run. Choose another folder with --out"
        ) from error
    return connection


def _digest(rows: Iterable[Sequence[object]]) -> str:
    whole = hashlib.sha256()
    for row in rows:
        whole.update(json.dumps(list(row)).encode())
    return whole.hexdigest()


def _storable(text: str) -> str:
    """SQLite text is UTF-8: a lone surrogate is written as its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
