"""JSON: an object a line, or one array of objects. Text stays text, a number is printed as the file writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ...api.errors import DataError
from .opened import open_text
from .rows import Contents, Row, keep_rows


class WrittenFloat(float):
    """A number with a fraction or an exponent, which prints as it is written in the file: ``1.50`` stays ``1.50``."""

    _text: str

    def __new__(cls, text: str) -> WrittenFloat:
        made = super().__new__(cls, text)
        made._text = text
        return made

    def __str__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[type[WrittenFloat], tuple[str]]:
        return WrittenFloat, (self._text,)


@dataclass(frozen=True, kw_only=True)
class Json:
    """Objects, read by Python's `json`. Lines are read one by one; an array is read whole.

    A column is a key of any row; where a row lacks it, it is None there. A key that stands twice in one object is an error.

    ``field``: the key of the array of rows, in a file that is one object. ``encoding``: where it is not UTF-8.
    """

    field: str = ""
    encoding: str = ""

    def read(self, paths: Sequence[Path], /) -> Contents:
        columns: dict[str, None] = {}
        widths: set[int] = set()

        def rows() -> Iterator[Row]:
            for path in paths:
                with open_text(path, self.encoding) as stream:
                    for place, row in self._values(path, stream):
                        if not isinstance(row, dict):
                            raise DataError(f'{path}, {place}: a row is an object such as {{"text": ...}}, not {_kind(row)}')
                        columns.update(dict.fromkeys(row))
                        widths.add(len(row))
                        yield row

        try:
            made: Sequence[Row] = keep_rows(rows())
        except RecursionError as error:
            raise DataError(f"{paths[0]}: a value is nested too deeply to be read") from error
        if widths and widths != {len(columns)}:
            made = _Filled(made, tuple(columns))
        return Contents(made, tuple(columns), hint=_hint(made))

    def _values(self, path: Path, stream: TextIO) -> Iterator[tuple[str, Any]]:
        """Each value with its place in words."""
        if self.field:
            yield from self._of_field(path, stream)
            return
        begun = False
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            if not begun and line.lstrip().startswith("["):
                for index, value in enumerate(_parsed(line + stream.read(), path, 0, number)):
                    yield f"element {index}", value
                return
            try:
                value = _parsed(line, path, number)
            except DataError:
                if not begun:
                    _refuse_one_object(line + stream.read(), path)
                raise
            begun = True
            yield f"line {number}", value

    def _of_field(self, path: Path, stream: TextIO) -> Iterator[tuple[str, Any]]:
        whole = _parsed(stream.read(), path, 0)
        found = whole.get(self.field) if isinstance(whole, dict) else None
        if not isinstance(found, list):
            keys = ", ".join(map(repr, whole)) if isinstance(whole, dict) else "none: it is no object"
            raise DataError(f"{path}: options: field: {self.field!r} is no array of this file; its keys: {keys}")
        for index, value in enumerate(found):
            yield f"{self.field}[{index}]", value


class _Filled(Sequence[Row]):
    """Rows that all have the same columns."""

    def __init__(self, rows: Sequence[Row], columns: tuple[str, ...]) -> None:
        self._rows, self._columns = rows, columns

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any, /) -> Any:
        if isinstance(place, slice):
            return _Filled(self._rows[place], self._columns)
        return self._fill(self._rows[place])

    def __iter__(self) -> Iterator[Row]:
        return map(self._fill, self._rows)

    def _fill(self, row: Row) -> Row:
        return {name: row.get(name) for name in self._columns}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} stands twice in one object")
    return made


parse_json = json.JSONDecoder(object_pairs_hook=_object, parse_float=WrittenFloat).decode


def _parsed(text: str, path: Path, line: int, first_line: int = 1) -> Any:
    """``line``: of a text that is one; else lines are counted from ``first_line``."""
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {line or first_line + error.lineno - 1}: this is not JSON: {error.msg}") from error
    except RecursionError as error:
        raise DataError(f"{path}, line {line or first_line}: a value is nested too deeply to be read") from error
    except ValueError as error:
        raise DataError(f"{path}{f', line {line}' if line else ''}: {error}") from error


def _refuse_one_object(text: str, path: Path) -> None:
    try:
        whole = parse_json(text)
    except (ValueError, RecursionError):
        return
    raise DataError(
        f"{path} is one object over several lines, with the keys {', '.join(map(repr, whole))}; a row is an object on one line. "
        "Where one of the keys holds the rows: data: {options: {field: KEY}}"
    )


def _hint(rows: Sequence[Row]) -> str:
    """A file with a single row may be an object around the rows."""
    if len(rows) != 1:
        return ""
    arrays = [key for key, value in rows[0].items() if isinstance(value, list) and value and isinstance(value[0], Mapping)]
    return f"Are the rows in {arrays[0]!r}? Then give data: {{options: {{field: {arrays[0]}}}}}." if arrays else ""


def _kind(value: Any) -> str:
    names = {list: "an array", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
