"""JSON: one object per line, or one array of objects. Text stays text; a number prints as it is written in the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ...api.errors import DataError
from .open_files import open_text
from .rows import Contents, Row, keep_rows


class WrittenFloat(float):
    """A float that prints as it is written in the file: ``1.50`` stays ``1.50``."""

    _text: str

    def __new__(cls, text: str) -> WrittenFloat:
        number = super().__new__(cls, text)
        number._text = text
        return number

    def __str__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[type[WrittenFloat], tuple[str]]:
        return WrittenFloat, (self._text,)


@dataclass(frozen=True, kw_only=True)
class Json:
    """Objects, read by Python's `json`. Lines are read one by one; an array is read as a whole.

    Every key of any row is a column, None in rows without it. A duplicate key in one object is an error.

    field: for a file that is one object, the key of its array of rows.
    encoding: default UTF-8.
    """

    field: str = ""
    encoding: str = ""

    def read(self, paths: Sequence[Path], /) -> Contents:
        columns: dict[str, None] = {}
        widths: set[int] = set()

        def rows() -> Iterator[Row]:
            for path in paths:
                with open_text(path, self.encoding) as stream:
                    for where, row in self._read_values(path, stream):
                        if not isinstance(row, dict):
                            raise DataError(f'{path}, {where}: a row must be an object such as {{"text": ...}}, not {_name_type(row)}')
                        columns.update(dict.fromkeys(row))
                        widths.add(len(row))
                        yield row

        try:
            kept: Sequence[Row] = keep_rows(rows())
        except RecursionError as error:
            raise DataError(f"{paths[0]}: a value is nested too deeply to be read") from error
        if widths and widths != {len(columns)}:
            kept = _FilledRows(kept, tuple(columns))
        return Contents(kept, tuple(columns), hint=_hint(kept))

    def _read_values(self, path: Path, stream: TextIO) -> Iterator[tuple[str, Any]]:
        """Yield each value with its position, in words."""
        if self.field:
            yield from self._read_field(path, stream)
            return
        begun = False
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            if not begun and line.lstrip().startswith("["):
                for index, value in enumerate(_parse(line + stream.read(), path, 0, number)):
                    yield f"element {index}", value
                return
            try:
                value = _parse(line, path, number)
            except DataError:
                if not begun:
                    _refuse_single_object(line + stream.read(), path)
                raise
            begun = True
            yield f"line {number}", value

    def _read_field(self, path: Path, stream: TextIO) -> Iterator[tuple[str, Any]]:
        document = _parse(stream.read(), path, 0)
        values = document.get(self.field) if isinstance(document, dict) else None
        if not isinstance(values, list):
            keys = ", ".join(map(repr, document)) if isinstance(document, dict) else "none: it is not an object"
            raise DataError(f"{path}: options: field: {self.field!r} is not an array of this file; its keys: {keys}")
        for index, value in enumerate(values):
            yield f"{self.field}[{index}]", value


class _FilledRows(Sequence[Row]):
    """Rows with None for each column that a row lacks."""

    def __init__(self, rows: Sequence[Row], columns: tuple[str, ...]) -> None:
        self._rows, self._columns = rows, columns

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any, /) -> Any:
        if isinstance(index, slice):
            return _FilledRows(self._rows[index], self._columns)
        return self._fill(self._rows[index])

    def __iter__(self) -> Iterator[Row]:
        return map(self._fill, self._rows)

    def _fill(self, row: Row) -> Row:
        return {name: row.get(name) for name in self._columns}


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} occurs twice in one object")
    return mapping


parse_json = json.JSONDecoder(object_pairs_hook=_build_object, parse_float=WrittenFloat).decode


def _parse(text: str, path: Path, line: int, first_line: int = 1) -> Any:
    """Parse JSON text. Raises `DataError` with path and line.

    line: line number of a single line; 0 for a text of several lines that starts at ``first_line``.
    """
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {line or first_line + error.lineno - 1}: this is not JSON: {error.msg}") from error
    except RecursionError as error:
        raise DataError(f"{path}, line {line or first_line}: a value is nested too deeply to be read") from error
    except ValueError as error:
        raise DataError(f"{path}{f', line {line}' if line else ''}: {error}") from error


def _refuse_single_object(text: str, path: Path) -> None:
    """Raise `DataError` if the text is one JSON object over several lines."""
    try:
        document = parse_json(text)
    except (ValueError, RecursionError):
        return
    raise DataError(
        f"{path} is one object over several lines, with the keys {', '.join(map(repr, document))}; "
        "a row must be an object on one line. If one of the keys holds the rows, set data: {options: {field: KEY}}"
    )


def _hint(rows: Sequence[Row]) -> str:
    """Return a hint if the file has a single row, which may be an object around the real rows."""
    if len(rows) != 1:
        return ""
    arrays = [key for key, value in rows[0].items() if isinstance(value, list) and value and isinstance(value[0], Mapping)]
    return f"Are the rows in {arrays[0]!r}? Then set data: {{options: {{field: {arrays[0]}}}}}." if arrays else ""


def _name_type(value: Any) -> str:
    names = {list: "an array", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
