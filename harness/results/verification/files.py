"""Compares a file of a report with the one that the records give: JSON, XML, tables and lines of text.

The file may hold anything: it is read up to a size, parsed without entities or repeated keys, and inflated up to a size.
"""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree as ET

from ...api.errors import StoreError
from .differences import compare_lines, compare_values, label_uniquely

_SPARE = 2**20
"""The largest number of bytes beyond those that are expected."""
_GZIP = re.compile(r"H4sI[A-Za-z0-9+/=]{20,}")
"""A gzip stream in base64: pages hold their samples in such."""


def compare_file(path: Path, expected: bytes, /) -> tuple[list[str], list[str]]:
    """Return the differences of a file and the notes about it, a sentence each. ``expected``: the content that the records give."""
    try:
        found = read_bytes(path, most_bytes=2 * len(expected) + _SPARE)
        if found == expected:
            return [], []
        differences = list(_COMPARE.get(path.suffix, _compare_texts)(found, expected))
    except StoreError as error:
        return [error.message], []
    except (ValueError, RecursionError, ET.ParseError) as error:
        return [f"it cannot be read ({_describe(error)})"], []
    return differences, [] if differences else ["it is written in another way than by this version, and says the same"]


def read_bytes(path: Path, /, most_bytes: int) -> bytes:
    """Return the content of a file. Raises `StoreError` if it is no file, or larger than ``most_bytes``."""
    try:
        if not path.is_file():
            raise StoreError("it is not a regular file")
        if (size := path.stat().st_size) > most_bytes:
            raise StoreError(f"it has {size:,} bytes, and the records give at most {most_bytes:,}")
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"it cannot be read ({error.strerror or error})") from error


def read_text(path: Path, /, most_bytes: int) -> str:
    """Return the text of a file. Raises `StoreError` as `read_bytes` does, and if it is no UTF-8."""
    return _decode(read_bytes(path, most_bytes))


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StoreError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from error


def _compare_texts(found: bytes, expected: bytes) -> Iterable[str]:
    """Compare lines, and what is compressed in them: machines may compress the same to other bytes."""
    ours = _inflate(_decode(expected), most_bytes=None)
    return compare_lines(_inflate(_decode(found), most_bytes=2 * len(ours) + _SPARE), ours)


def _inflate(text: str, most_bytes: int | None) -> str:
    """Return a text with the content of each gzip stream in place of its base64. ``most_bytes``: of all content; None for no limit."""
    left = most_bytes

    def replace(match: re.Match[str]) -> str:
        nonlocal left
        try:
            content = zlib.decompressobj(31).decompress(base64.b64decode(match[0]), left or 0)
        except (zlib.error, ValueError):
            return match[0]
        if left is not None:
            left = max(1, left - len(content))
        return content.decode("utf-8", "backslashreplace")

    return _GZIP.sub(replace, text)


def _compare_json(found: bytes, expected: bytes) -> Iterable[str]:
    return compare_values(parse_json(_decode(found)), parse_json(_decode(expected)))


def _compare_xml(found: bytes, expected: bytes) -> Iterable[str]:
    return compare_values(_parse_xml(_decode(found)), _parse_xml(_decode(expected)))


def _compare_parquet(found: bytes, expected: bytes) -> Iterable[str]:
    """Compare the cells of two tables, as lines of CSV."""
    import pandas as pd

    try:
        theirs, ours = (pd.read_parquet(io.BytesIO(content)).to_csv(index=False) for content in (found, expected))
    except Exception as error:
        raise ValueError(str(error)) from error
    return compare_lines(theirs, ours)


_COMPARE: Mapping[str, Callable[[bytes, bytes], Iterable[str]]] = {
    ".json": _compare_json, ".sarif": _compare_json, ".xml": _compare_xml, ".parquet": _compare_parquet,
}  # fmt: skip


def parse_json(text: str, /) -> Any:
    """Return a JSON value. Raises `ValueError` if a key is repeated, of which programs may read either value, and for NaN."""
    return json.loads(text, object_pairs_hook=_make_mapping, parse_constant=_refuse_constant)


def _make_mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)[:80]!r} is there twice")
    return mapping


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parse_xml(text: str) -> Any:
    if "<!" in text:
        raise ValueError("it declares a document type, entities, a comment or raw text, which no report does")
    return _convert_element(ET.fromstring(text))


def _convert_element(element: ET.Element) -> dict[str, Any]:
    """Return an element as a mapping: its attributes, text, and children by tag and name."""
    labels = [" ".join(filter(None, [child.tag, child.get("classname"), child.get("name")])) for child in element]
    children = dict(zip(label_uniquely(labels), map(_convert_element, element), strict=True))
    text = f"{(element.text or '').strip()}{''.join((child.tail or '').strip() for child in element)}"
    return {"attributes": dict(element.attrib), "text": text, **children}


def _describe(error: Exception) -> str:
    return "its values are nested too deeply" if isinstance(error, RecursionError) else str(error)


def prefix(name: str, sentences: Iterable[str], /) -> list[str]:
    """Return the sentences, each with the name of its file."""
    return [f"{name}: {sentence}" for sentence in sentences]
