"""A run's responses by content key: appended to the store, with their row numbers indexed in memory.

Keys are digests, so an index in the file would rewrite pages all over the file with every chunk, and more of them
as the run grows. Here the responses of a chunk are written next to each other, and a key takes 16 bytes of memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import codec

TABLE = "CREATE TABLE answers (number INTEGER PRIMARY KEY, key TEXT NOT NULL, response TEXT NOT NULL)"

_FEW = 4096


class AnswerLog:
    """The table `TABLE` of a connection. It must be the table's only writer. The index is built on first use."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._index: RowIndex | None = None
        self._last = 0

    def _load_index(self) -> RowIndex:
        if self._index is None:
            self._index = RowIndex()
            for number, key in self._db.execute("SELECT number, key FROM answers ORDER BY number"):
                self._index.add(key, number)
                self._last = number
        return self._index

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        """Return the stored responses of ``keys``; keys without one are left out."""
        wanted = list(keys)
        numbers = self._load_index().find(wanted)
        if not numbers:
            return {}
        rows = self._db.execute(f"SELECT key, response FROM answers WHERE number IN ({','.join(map(str, numbers))})")
        responses = {key: codec.loads(response) for key, response in rows}
        # The index holds hashes only, and two keys may share one.
        return {key: responses[key] for key in wanted if key in responses}

    def insert(self, answers: Mapping[str, Any], /) -> None:
        """Insert responses by key. The caller commits, then calls `add_to_index`."""
        self._load_index()
        rows = ((number, key, codec.dumps(answer)) for number, (key, answer) in enumerate(answers.items(), self._last + 1))
        self._db.executemany("INSERT INTO answers VALUES (?, ?, ?)", rows)

    def add_to_index(self, answers: Mapping[str, Any], /) -> None:
        """Index responses that were inserted and committed."""
        index = self._load_index()
        for key in answers:
            self._last += 1
            index.add(key, self._last)


class RowIndex:
    """Row numbers by key, 16 bytes each: hash and number in two sorted arrays, the most recent in a dictionary."""

    def __init__(self) -> None:
        self._hashes: NDArray[np.int64] = np.empty(0, np.int64)
        self._numbers: NDArray[np.int64] = np.empty(0, np.int64)
        self._recent: dict[int, int] = {}

    def add(self, key: str, number: int, /) -> None:
        self._recent[hash(key)] = number
        if len(self._recent) >= max(_FEW, len(self._hashes) // 8):
            hashes = np.concatenate([self._hashes, np.fromiter(self._recent.keys(), np.int64)])
            numbers = np.concatenate([self._numbers, np.fromiter(self._recent.values(), np.int64)])
            order = np.argsort(hashes, kind="stable")
            self._hashes, self._numbers, self._recent = hashes[order], numbers[order], {}

    def find(self, keys: Sequence[str], /) -> list[int]:
        """Return the row numbers of the known keys, and possibly of other keys with the same hash."""
        hashes = [hash(key) for key in keys]
        numbers = [self._recent[h] for h in hashes if h in self._recent]
        if len(self._hashes):
            wanted = np.array(hashes, dtype=np.int64)
            at = np.minimum(np.searchsorted(self._hashes, wanted), len(self._hashes) - 1)
            numbers += self._numbers[at[self._hashes[at] == wanted]].tolist()
        return numbers
