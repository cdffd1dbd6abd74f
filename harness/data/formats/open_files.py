"""Open data files: decompress, decode, and raise errors that name the file and the line."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from ...api.errors import DataError

COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16",
          codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
"""Encoding by byte order mark, longest mark first."""


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading decompressed bytes. Raises `DataError`, also for errors in the body of the ``with``."""
    try:
        with COMPRESSED.get(path.suffix.lower(), open)(path, "rb") as stream:
            yield cast(BinaryIO, stream)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def open_text(path: Path, encoding: str = "", newline: str | None = None) -> Iterator[TextIO]:
    """Open a file for reading text.

    encoding: default: that of the byte order mark, else UTF-8. newline: as for `open`.

    Raises `DataError`, also in the body of the ``with``, for bytes that are invalid in the encoding, with their line.
    """
    with open_binary(path) as stream:
        used = _choose_encoding(path, encoding)
        try:
            with io.TextIOWrapper(stream, used, newline=newline) as text:
                yield text
        except UnicodeError as error:
            raise DataError(f"{path}{_locate_bad_byte(path, used, error)}") from error


def _choose_encoding(path: Path, option: str) -> str:
    """Return the encoding of a file from the option and the byte order mark. Raises `DataError` if they differ."""
    with open_binary(path) as stream:
        head = stream.read(4)
    marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "")
    if not option:
        return marked or "utf-8"
    try:
        name = codecs.lookup(option).name
    except LookupError as error:
        raise DataError(f"options: there is no encoding {option!r}; common ones are utf-8, cp1252, latin-1, utf-16") from error
    if marked and not name.startswith(marked.removesuffix("-sig")):
        mark = marked.removesuffix("-sig")
        raise DataError(f"{path} begins with the byte order mark of {mark}, but the option encoding is {option}; leave it out")
    return marked or option


def _locate_bad_byte(path: Path, encoding: str, error: UnicodeError) -> str:
    """Return the end of an error message: the line of the first invalid byte, and the fix."""
    advice = "set the encoding of the file, e.g. data: {options: {encoding: cp1252}}"
    plain = encoding.removesuffix("-sig")
    with open_binary(path) as stream:
        for number, line in enumerate(stream if "16" not in plain and "32" not in plain else (), 1):
            try:
                line.decode(plain)
            except UnicodeDecodeError as bad:
                return f", line {number}: the byte 0x{line[bad.start]:02x} is not {plain}; {advice}"
    return f" is not {plain} ({error}); {advice}"
