"""A chain of digests over every row of a run store: whatever is changed, added, taken away or put in another order is missed.

Each transaction ends with a link, which says of every table that has new rows how many, and their SHA-256. Its ``digest`` is over that and
the digest of the link before, so the last one, the head, stands for the whole run:

    link 1   run: 1 row                         digest 1
    link 2   items: 1, samples: 500             digest 2 = SHA-256(digest 1, counts and digests of the rows)
    link 3   records: 256, answers: 256, ...    digest 3 = SHA-256(digest 2, ...)

Two equal runs have equal digests, for what no other run has the same, the ``timing``, is left out of it: that hangs in a second chain, of
``seal``, with the first one inside.

It is no signature. Who can write the file can write all of its links anew, or end it early: then it is another run's file, whole in
itself, and only its head says so, to somebody who has kept the head of the first one elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

TABLE = "CREATE TABLE chain (number INTEGER PRIMARY KEY, rows TEXT NOT NULL, digest TEXT NOT NULL, seal TEXT NOT NULL)"

_TIMING = "timing"
_LAST = "SELECT number, digest, seal FROM chain ORDER BY number DESC LIMIT 1"

Rows = Mapping[str, tuple[int, str]]
"""By table: how many rows, and their SHA-256."""


def head(connection: sqlite3.Connection, /) -> str:
    """The digest of the whole run but for its timing."""
    return str(_last(connection)[1])


@contextmanager
def linked(connection: sqlite3.Connection, tables: Sequence[str], /) -> Iterator[None]:
    """A link over the rows that are written to ``tables`` inside, in the transaction that is open."""
    ends = {table: connection.execute(f"SELECT MAX(rowid) FROM {table}").fetchone()[0] or 0 for table in tables}
    number, digest, seal = _last(connection)
    yield
    # Read back: SQLite may keep another value than it was given.
    after = "SELECT * FROM {} WHERE rowid > ? ORDER BY rowid"
    written = {table: _digested(connection.execute(after.format(table), (ends[table],))) for table in tables}
    rows = {table: found for table, found in written.items() if found[0]}
    connection.execute("INSERT INTO chain VALUES (?, ?, ?, ?)", (number + 1, _text(rows), *_link(digest, seal, rows)))


def faults(connection: sqlite3.Connection, tables: Sequence[str], /) -> Iterator[str]:
    """What is not as it was written, a sentence each; one pass over all rows, one at a time."""
    streams = {table: connection.execute(f"SELECT * FROM {table} ORDER BY rowid") for table in tables}
    place, wrong = dict.fromkeys(tables, 0), set[str]()
    _, digest, seal = nothing = (0, "", "")
    number = 0
    for number, (stored, text, *found) in enumerate(connection.execute("SELECT number, rows, digest, seal FROM chain ORDER BY number"), 1):
        rows = _read(text, tables)
        if stored != number or _text(rows) != text or tuple(found) != _link(digest, seal, rows):
            yield f"link {number} of the chain is not the one that was written"
            return
        digest, seal = found
        for table, expected in rows.items():
            if table not in wrong and _digested(islice(streams[table], expected[0])) != expected:
                wrong.add(table)
                yield f"{table}: rows {place[table] + 1} to {place[table] + expected[0]} are not those that were written"
            place[table] += expected[0]
    if (number, digest, seal) == nothing:
        yield "there is no chain of digests"
    for table, stream in streams.items():
        if table not in wrong and (extra := sum(1 for _ in stream)):
            yield f"{table}: {extra} rows were added by something else than a run"


def _last(connection: sqlite3.Connection) -> tuple[int, str, str]:
    return connection.execute(_LAST).fetchone() or (0, "", "")


def _link(digest: str, seal: str, rows: Rows) -> tuple[str, str]:
    """Digest and seal of the link that follows on those of another."""
    digest = _sha256([digest, {table: found for table, found in rows.items() if table != _TIMING}])
    return digest, _sha256([seal, digest, rows.get(_TIMING)])


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _sha256(value: Any) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()


def _digested(rows: Iterable[tuple[Any, ...]]) -> tuple[int, str]:
    """How many rows there are, and the SHA-256 of their values in Python's notation, which tells 1 from '1' and where a row ends."""
    whole, num = hashlib.sha256(), 0
    for row in rows:
        whole.update(ascii(row).encode("ascii"))
        num += 1
    return num, whole.hexdigest()


def _read(text: Any, tables: Sequence[str]) -> Rows:
    """What a link says of the rows of these tables; nothing where no run wrote that."""
    try:
        said = json.loads(text)
        return {table: (int(said[table][0]), str(said[table][1])) for table in tables if table in said}
    except (ValueError, TypeError, LookupError, RecursionError):
        return {}
