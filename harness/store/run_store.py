"""The run store: one append-only SQLite file in WAL mode. A chunk of records is one transaction.

`tables` has the schema, `chain` the hash chain that detects changes. `store_file` opens the file, and `work_list` has its items.

A chunk is stored completely or not at all: a killed process loses only the chunk in flight.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from operator import lt
from pathlib import Path
from typing import Any

from ..api.errors import StoreError
from ..api.samples import Record, Sample
from . import codec
from .answer_log import AnswerLog
from .sessions import Sessions
from .sqlite_files import connect, make_storable
from .stored_chunk import ChunkTimes, StoredChunk, read_chunks
from .stored_item import StoredItem
from .tables import SCHEMA_VERSION, make_tables
from .work_list import WorkList

FILE_NAME = "run.db"


class Store(WorkList):
    """An open run store: its records and answers. Construct it with `create` or `open`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__(connection, path)
        self._answers = AnswerLog(connection)
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
        store = cls(connect(fresh), fresh)
        try:
            with store._open_transaction():
                make_tables(store._db)
            with store._write():
                store._db.execute("INSERT INTO run VALUES (?, ?, ?, ?)", (SCHEMA_VERSION, name, suite, version))
        finally:
            store.close()
        fresh.replace(path)
        return cls.open(path)

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_chunk(
        self, item: StoredItem, chunk: int, start: int, records: Sequence[Record], *, counters: Mapping[str, float],
        times: ChunkTimes, answers: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Add a chunk in one transaction: its records, their cost and the responses that they are based on.

        start: position of the first record among the item's samples. answers: responses by content key.
        """
        rows = [
            (item.id, chunk, start + i, make_storable(r.sample_id), codec.dumps(r.scores), r.error and make_storable(r.error),
             codec.dumps(r.artifacts)) for i, r in enumerate(records)
        ]  # fmt: skip
        with self._write():
            self._db.execute("INSERT INTO chunks VALUES (?, ?, ?)", (item.id, chunk, json.dumps(dict(counters))))
            self._db.execute("INSERT INTO timing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (item.id, chunk, *astuple(times)))
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._answers.insert(answers)
        self._answers.add_to_index(answers)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        """Return the stored responses of these content keys, as a read-only cache."""
        with self._read():
            return self._answers.get(keys)

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
