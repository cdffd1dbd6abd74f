"""A hash chain over every row of a run store. It detects rows that were changed, added, removed or reordered.

Each transaction ends with a link. A link holds, for every table with new rows, their number and their SHA-256. Its
``digest`` covers this and the digest of the previous link, so the last digest, the head, identifies the whole run:

    link 1   run: 1 row                         digest 1
    link 2   items: 1, samples: 500             digest 2 = SHA-256(digest 1, counts and digests of the rows)
    link 3   records: 256, answers: 256, ...    digest 3 = SHA-256(digest 2, ...)

Two equal runs have equal digests: the tables in `VARYING`, which differ between runs, are left out, and a link with rows of
no other table keeps the digest. A second chain, ``seal``, covers them as well as the first chain.

The chain is not a signature. Anyone who can write the file can recompute all links, or truncate it. The result is a
valid file with another head; to notice, keep the original head elsewhere.
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

VARYING = ("session_ends", "sessions", "timing")
_LAST = "SELECT number, digest, seal FROM chain ORDER BY number DESC LIMIT 1"

Rows = Mapping[str, tuple[int, str]]
"""Number of rows and their SHA-256, by table."""


def read_head(connection: sqlite3.Connection, /) -> str:
    """Return the digest of the whole run without what differs between equal runs."""
    return str(_read_last(connection)[1])


@contextmanager
def append_link(connection: sqlite3.Connection, tables: Sequence[str], /) -> Iterator[None]:
    """Append a link for the rows that the body of the ``with`` statement writes to ``tables``.

    The transaction must be open.
    """
    ends = {table: connection.execute(f"SELECT MAX(rowid) FROM {table}").fetchone()[0] or 0 for table in tables}
    number, digest, seal = _read_last(connection)
    yield
    # Read back, because SQLite may store another value than the one inserted (type affinity).
    after = "SELECT * FROM {} WHERE rowid > ? ORDER BY rowid"
    written = {table: _digest_rows(connection.execute(after.format(table), (ends[table],))) for table in tables}
    rows = {table: count_and_digest for table, count_and_digest in written.items() if count_and_digest[0]}
    connection.execute("INSERT INTO chain VALUES (?, ?, ?, ?)", (number + 1, _to_json(rows), *_link(digest, seal, rows)))


def find_faults(connection: sqlite3.Connection, tables: Sequence[str], /) -> Iterator[str]:
    """Yield one sentence per describe_change between the rows and the chain. Reads all rows once, one at a time."""
    streams = {table: connection.execute(f"SELECT * FROM {table} ORDER BY rowid") for table in tables}
    place, wrong = dict.fromkeys(tables, 0), set[str]()
    _, digest, seal = nothing = (0, "", "")
    number = 0
    links = connection.execute("SELECT number, rows, digest, seal FROM chain ORDER BY number")
    for number, (stored_number, text, *stored_digests) in enumerate(links, 1):
        rows = _parse_rows(text, tables)
        if stored_number != number or _to_json(rows) != text or tuple(stored_digests) != _link(digest, seal, rows):
            yield f"link {number} of the hash chain was changed"
            return
        digest, seal = stored_digests
        for table, expected in rows.items():
            if table not in wrong and _digest_rows(islice(streams[table], expected[0])) != expected:
                wrong.add(table)
                yield f"{table}: rows {place[table] + 1} to {place[table] + expected[0]} were changed"
            place[table] += expected[0]
    if (number, digest, seal) == nothing:
        yield "the hash chain is missing"
    for table, stream in streams.items():
        if table not in wrong and (extra := sum(1 for _ in stream)):
            yield f"{table}: {extra:,} rows were added by another program"


def _read_last(connection: sqlite3.Connection) -> tuple[int, str, str]:
    return connection.execute(_LAST).fetchone() or (0, "", "")


def _link(digest: str, seal: str, rows: Rows) -> tuple[str, str]:
    """Return digest and seal of the next link, from those of the previous link."""
    lasting = {table: counted for table, counted in rows.items() if table not in VARYING}
    varying = {table: counted for table, counted in rows.items() if table in VARYING}
    digest = _hash([digest, lasting]) if lasting else digest
    return digest, _hash([seal, digest, varying])


def _to_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _hash(value: Any) -> str:
    return hashlib.sha256(_to_json(value).encode()).hexdigest()


def _digest_rows(rows: Iterable[tuple[Any, ...]]) -> tuple[int, str]:
    """Return the number of rows and the SHA-256 of their `ascii`, which separates rows and tells 1 from '1'."""
    whole, num = hashlib.sha256(), 0
    for row in rows:
        whole.update(ascii(row).encode("ascii"))
        num += 1
    return num, whole.hexdigest()


def _parse_rows(text: Any, tables: Sequence[str]) -> Rows:
    """Parse the rows of a link for these tables. Returns an empty mapping for text of any other form."""
    try:
        link = json.loads(text)
        return {table: (int(link[table][0]), str(link[table][1])) for table in tables if table in link}
    except (ValueError, TypeError, LookupError, RecursionError):
        return {}
