"""JSON in which half of a UTF-16 pair stands alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .spool import Spool

Row = Mapping[str, Any]

_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))


def rows_with_surrogates(paths: Sequence[Path], /) -> Spool[Row] | None:
    """Rows of JSON files in which half of a UTF-16 pair stands alone, as JSON allows; None where there is none, or no rows.

    `datasets` refuses a whole file of lines for it, and drops it from an array without a word. Here it is kept: its own sample fails.
    """
    columns: dict[str, None] = {}

    def read() -> Iterator[Row]:
        for path in paths:
            with path.open("rb") as stream:
                whole = stream.read() if stream.read(1) == b"[" else b""
            values = json.loads(b"[" + whole) if whole else map(json.loads, filter(bytes.strip, _lines(path)))
            for row in values:
                if not isinstance(row, dict):
                    raise ValueError("a row is an object")
                columns.update(dict.fromkeys(row))
                yield row

    try:
        if not any(_LONE.search(line) for path in paths for line in _lines(path)):
            return None
        rows = Spool.of(read())
    except (ValueError, RecursionError):  # no JSON, or none that is rows: the library says what is wrong with it
        return None
    # A column that a row lacks is None in it, as `datasets` has it.
    return Spool.of({name: row.get(name) for name in columns} for row in rows) if len(rows) else None


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        yield from stream
