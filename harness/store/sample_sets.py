"""The samples of each task in a run store. Items of a task share one set; a changed suite adds another set."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence

from ..api.errors import DataError
from ..api.samples import Sample
from . import codec


class SampleSets:
    """The samples of an open store."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._declared: dict[str, int] = {}

    def declare(self, task: str, samples: Sequence[Sample], /) -> int:
        """Return the id of the sample set of a task, and write the samples if no equal set exists.

        Runs in the open transaction. Samples are encoded one at a time, because all of them may not fit into memory.

        Raises `DataError` if a sample cannot be recorded.
        """
        if task not in self._declared:
            number = int(self._db.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM sample_sets").fetchone()[0])
            whole = hashlib.sha256()

            def rows() -> Iterator[tuple[object, ...]]:
                for ordinal, sample in enumerate(samples):
                    row = (sample.id, *_encode_texts(task, sample))
                    whole.update(ascii(row).encode("ascii"))
                    yield (number, ordinal, *row)

            self._db.execute("SAVEPOINT declaring")
            self._db.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?)", rows())
            known = self._db.execute("SELECT id FROM sample_sets WHERE task = ? AND digest = ?", (task, whole.hexdigest())).fetchone()
            if known is None:
                self._db.execute("INSERT INTO sample_sets VALUES (?, ?, ?)", (number, task, whole.hexdigest()))
            else:
                self._db.execute("ROLLBACK TO declaring")
            self._db.execute("RELEASE declaring")
            self._declared[task] = number if known is None else int(known[0])
        return self._declared[task]


def _encode_texts(task: str, sample: Sample) -> tuple[str, str]:
    """Encode (target and group) and the whole sample."""
    try:
        return codec.dumps((sample.target, sample.group)), codec.dumps(sample)
    except (TypeError, ValueError) as error:
        raise DataError(f"task {task!r}: the sample {sample.id!r} cannot be recorded: {error}") from error
