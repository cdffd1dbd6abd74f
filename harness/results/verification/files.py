"""Compares the text of a report's file with the text that the records give, as JSON, XML or lines.

The file may hold anything: it is read up to a size, and parsed without entities or repeated keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree as ET

from ...api.errors import StoreError
from .differences import compare_lines, compare_values, label_uniquely

_SPARE = 2**20
_MOST_FREE = 2**30
"""The largest number of bytes beyond the expected text, and of text that is not compared."""


def compare_file(path: Path, parts: Sequence[str], /) -> tuple[list[str], list[str]]:
    """Return the differences of a file and the notes about it, a sentence each.

    ``parts``: the texts that the records give, in their order; between two of them the file may have any text that has no ``<``.
    """
    expected = "".join(parts)
    try:
        found = read_text(path, most_bytes=2 * len(expected.encode()) + _SPARE + (_MOST_FREE if len(parts) > 1 else 0))
    except StoreError as error:
        return [error.message], []
    if len(parts) > 1:
        return list(_compare_parts(found, *parts)), ["its samples are not compared"]
    if found == expected:
        return [], []
    parse = {".json": parse_json, ".xml": _parse_xml}.get(path.suffix)
    if parse is None:
        return list(compare_lines(found, expected)), []
    try:
        differences = list(compare_values(parse(found), parse(expected)))
    except (ValueError, RecursionError, ET.ParseError) as error:
        return [f"it cannot be read ({_describe(error)})"], []
    return differences, [] if differences else ["it is written in another way than by this version, and says the same"]


def read_text(path: Path, /, most_bytes: int) -> str:
    """Return the text of a file. Raises `StoreError` if it is no file, no UTF-8, or larger than ``most_bytes``."""
    try:
        if not path.is_file():
            raise StoreError("it is not a regular file")
        if (size := path.stat().st_size) > most_bytes:
            raise StoreError(f"it has {size:,} bytes, and the records give at most {most_bytes:,}")
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise StoreError(f"it cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise StoreError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from error


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


def _compare_parts(found: str, before: str, after: str) -> Iterator[str]:
    """Compare what stands around the free text, which begins after the last line of ``before`` and ends at the next ``<``."""
    if found.startswith(before):
        start = len(before)
    else:
        mark = before.rpartition("\n")[2]
        start = found.find(mark) + len(mark)
        if start < len(mark):
            yield f"it has no {mark!r}, so that its numbers are not compared"
            return
        yield from compare_lines(found[:start], before)
    rest = found[found.find("<", start) :] if "<" in found[start:] else ""
    if rest != after:
        yield from compare_lines(rest, after, first=found.count("\n", 0, len(found) - len(rest)) + 1)


def _describe(error: Exception) -> str:
    return "its values are nested too deeply" if isinstance(error, RecursionError) else str(error)


def prefix(name: str, sentences: Iterable[str], /) -> list[str]:
    """Return the sentences, each with the name of its file."""
    return [f"{name}: {sentence}" for sentence in sentences]
