"""Load the rows of a `DataSpec`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from ..api.errors import DataError, UserError
from ..api.import_target import resolve
from ..api.resources import Resource
from ..modalities.image import Image
from ..store import codec
from ..system.interrupts import is_interrupt
from .files import read_files
from .formats.rows import Row, Rows, keep_rows
from .hub import is_cached, read_hub
from .spec import DataSpec


def load(spec: DataSpec, /) -> Rows:
    """Load a data set.

    Offline (`is_offline`), a Hub data set is read from the local cache, or fails at once. Files and Python functions
    never use the network. Code in a data set's repository is never run.

    Raises `DataError` for a missing file, split or data set, a file that is not of its format, or a data set without rows.
    """
    read = read_hub if spec.hub else read_files if spec.files else _read_python
    rows = read(spec)
    if not len(rows.rows):
        raise DataError(f"{spec} is empty; check the path, the split and the format")
    return rows


def make_hub_resource(spec: DataSpec, /) -> Resource:
    """A data set of the hub as something that is fetched beforehand."""
    return Resource(str(spec), is_cached(spec), "the local cache of data sets", "it is fetched from the hub", lambda: load(spec))


def _read_python(spec: DataSpec) -> Rows:
    target = cast(str, spec.python)
    if target.partition(":")[0].endswith(".py"):
        target = str(spec.base / target)
    function = resolve(target)
    columns: dict[str, None] = {}

    def checked_rows() -> Iterator[Row]:
        for row in function(spec.split) if spec.split else function():
            if not isinstance(row, Mapping):
                raise DataError(f"{spec} must yield one dict per row, not {type(row).__name__}")
            columns.update(dict.fromkeys(map(str, row)))
            yield row

    try:
        rows = keep_rows(checked_rows())
    except UserError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise DataError(f"{spec}: {type(error).__name__}: {error}") from error
    try:
        fingerprint = codec.digest_all({k: _to_recordable(v) for k, v in row.items()} for row in rows)
    except TypeError as error:
        raise DataError(f"{spec}: a row has a value that cannot be fingerprinted: {error}") from error
    return Rows(rows, tuple(columns), fingerprint, source=str(spec))


def _to_recordable(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return Image(np.asarray(value)) if hasattr(value, "getbands") else value  # getbands: a PIL image
