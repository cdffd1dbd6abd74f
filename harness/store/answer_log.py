"""A run's answers by content key, one after the other in the store, and in memory where each one stands.

Keys are digests: an index of them in the file would have every chunk rewrite pages all over it, the more of them the longer the run. Here a
chunk's answers are written side by side, and a key takes 16 bytes of memory.
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
    """Over the table `TABLE` of a connection whose only writer this is. Read when it is first asked."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._places: Places | None = None
        self._last = 0

    def _known(self) -> Places:
        if self._places is None:
            self._places = Places()
            for number, key in self._db.execute("SELECT number, key FROM answers ORDER BY number"):
                self._places.add(key, number)
                self._last = number
        return self._places

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        wanted = list(keys)
        numbers = self._known().find(wanted)
        if not numbers:
            return {}
        rows = self._db.execute(f"SELECT key, response FROM answers WHERE number IN ({','.join(map(str, numbers))})")
        found = {key: codec.loads(response) for key, response in rows}
        # A place is known by a key's hash alone: another key may have the same.
        return {key: found[key] for key in wanted if key in found}

    def insert(self, answers: Mapping[str, Any], /) -> None:
        """To be committed by the caller, and then to be `noted`."""
        self._known()
        rows = ((number, key, codec.dumps(answer)) for number, (key, answer) in enumerate(answers.items(), self._last + 1))
        self._db.executemany("INSERT INTO answers VALUES (?, ?, ?)", rows)

    def noted(self, answers: Mapping[str, Any], /) -> None:
        """These have been inserted and committed."""
        places = self._known()
        for key in answers:
            self._last += 1
            places.add(key, self._last)


class Places:
    """The number that belongs to a key, 16 bytes each: hash and number in two sorted arrays, the last few in a dictionary."""

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
        """The numbers of those that are known, and perhaps of others with the same hash."""
        hashes = [hash(key) for key in keys]
        found = [self._recent[h] for h in hashes if h in self._recent]
        if len(self._hashes):
            wanted = np.array(hashes, dtype=np.int64)
            at = np.minimum(np.searchsorted(self._hashes, wanted), len(self._hashes) - 1)
            found += self._numbers[at[self._hashes[at] == wanted]].tolist()
        return found
