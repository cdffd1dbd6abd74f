"""Tar archives in the WebDataset layout: the members of a row have the same path up to the first dot."""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...api.errors import DataError
from .encoded_image import SUFFIXES, EncodedImage
from .json_rows import parse_json
from .rows import Contents, Row, keep_rows

_TEXT = ("txt", "text", "transcript")
_LINE = ("cls", "cls2", "index", "inx", "id")
_MEMBER = re.compile(r"((?:.*/)?[^/.][^/.]*)\.([^/]*)")


@dataclass(frozen=True, kw_only=True)
class WebDataset:
    """One row per path (``__key__``), one column per suffix.

    Image suffixes such as ``png`` are images, ``json`` is parsed, ``txt`` and ``cls`` are text, ``npy`` is an array
    (never of objects), others are bytes.
    """

    def read(self, paths: Sequence[Path], /) -> Contents:
        columns: dict[str, None] = {}
        others: list[str] = []

        def rows() -> Iterator[Row]:
            for path in paths:
                seen: set[str] = set()
                for row in _read_rows(path, others):
                    if row["__key__"] in seen:
                        raise DataError(f"{path}: the members of {row['__key__']!r} are not adjacent; sort the archive by name")
                    seen.add(row["__key__"])
                    columns.update(dict.fromkeys(row))
                    yield row

        kept = keep_rows(rows())
        filled = keep_rows({name: row.get(name) for name in columns} for row in kept)
        notes = (f"members of the archive that belong to no row: {len(others)} ({others[0]})",) if others else ()
        return Contents(filled, tuple(columns), notes=notes)


def _read_rows(path: Path, others: list[str]) -> Iterator[dict[str, Any]]:
    row: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                if member.isdir():
                    continue
                match = _MEMBER.fullmatch(member.name)
                stream = archive.extractfile(member) if match and member.isfile() else None
                if match is None or stream is None:
                    others.append(member.name)
                    continue
                key, suffix = match[1], match[2].lower()
                if row and row["__key__"] != key:
                    yield row
                    row = {}
                if suffix in row:
                    raise DataError(f"{path}: {member.name!r} occurs twice; remove one of them")
                row |= {"__key__": key, suffix: _decode(f"{path}: {member.name}", suffix, stream.read())}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as a tar archive: {error}") from error
    if row:
        yield row


def _decode(name: str, suffix: str, data: bytes) -> Any:
    kind = suffix.rpartition(".")[2]
    if f".{kind}" in SUFFIXES:
        return EncodedImage(name, data=data)
    try:
        if kind in _TEXT:
            return data.decode()
        if kind in _LINE:
            return data.decode().strip()
        if kind == "json":
            return parse_json(data.decode())
        if kind == "npy":
            return np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, RecursionError, EOFError) as error:
        raise DataError(f"{name} cannot be read: {error}") from error
    return data
