"""What can be wrong with a run store beside its hash chain: text that cannot be read back."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence

from . import codec

_RECORDS = "FROM records JOIN items ON items.id = records.item ORDER BY records.rowid"
_SAMPLES = "FROM samples JOIN sample_sets ON sample_sets.id = samples.sample_set ORDER BY samples.rowid"

_TEXTS = {
    "the suite in row {} of the table run": "SELECT rowid, suite FROM run ORDER BY rowid",
    "the key of {!r} on {!r}": "SELECT item, model, key FROM items ORDER BY id",
    "the facts of {!r} on {!r}": "SELECT item, model, facts FROM items ORDER BY id",
    "the target and group of sample {!r} of {!r}": f"SELECT samples.id, task, facts {_SAMPLES}",
    "the sample {!r} of {!r}": f"SELECT samples.id, task, sample {_SAMPLES}",
    "the scores of sample {!r} in {!r} on {!r}": f"SELECT sample_id, items.item, model, scores {_RECORDS}",
    "the record of sample {!r} in {!r} on {!r}": f"SELECT sample_id, items.item, model, artifacts {_RECORDS}",
    "the answer number {}": "SELECT number, response FROM answers ORDER BY number",
}
"""What each text is called, and the query that reads it, last, behind its names."""


def find_unreadable(connection: sqlite3.Connection, /) -> Iterator[str]:
    """Yield a sentence for each text that the codec, or a plugin's modality, cannot read back."""
    for what, query in _TEXTS.items():
        for *names, text in connection.execute(query):
            try:
                codec.loads(text)
            except Exception as error:  # noqa: BLE001 - the codec of a plugin's modality may raise anything
                yield f"{what.format(*names)} cannot be read back: {type(error).__name__}: {error}"


def find_unread(connection: sqlite3.Connection, /) -> Iterator[str]:
    """Yield a sentence for each modality, request and response whose values no loaded plugin reads. They are unchanged all the same."""
    unknown: Counter[str] = Counter()
    for query in _TEXTS.values():
        for *_, text in connection.execute(query):
            unknown.update(codec.find_unknown_names(text))
    for name, num in unknown.items():
        yield f"values of {name!r} in {num:,} of its texts were not read back: give the run's plugin file with --plugin"


def list_faults(faults: Sequence[str], /, most: int = 20) -> str:
    """Join the first faults, one per line, and the number of the others."""
    more = [f"and {len(faults) - most:,} more"] if len(faults) > most else []
    return "\n  ".join([*faults[:most], *more])
