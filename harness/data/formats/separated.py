"""Tables of cells: csv and tsv. A cell is the text that stands in the file."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ...api.errors import DataError
from .opened import open_text
from .rows import Contents, Row, keep_rows

_COMMON_DELIMITERS = ",;\t|"
_SHOWN = 60
_MOST_NAMES = 12


@dataclass(frozen=True, kw_only=True)
class Csv:
    """Cells between delimiters, by Python's `csv` in its strict mode; the first line names the columns.

    Every line has as many cells as the first. A file of one column needs no delimiter: a line of it is one cell, commas and all. Blank
    lines are no rows, and are counted.

    ``delimiter``: one character. ``quoting``: whether a cell may stand in quotes; else a quote is a character like others.
    ``quotechar``: the quote; twice within a quoted cell it stands for itself. ``escapechar``: takes the next character as it is.
    ``skipinitialspace``: spaces after a delimiter do not count. ``skiprows``: lines before the first that counts. ``column_names``: of a
    file whose first line is a row already. ``encoding``: where it is not UTF-8.
    """

    delimiter: str = ","
    quoting: bool = True
    quotechar: str = '"'
    escapechar: str = ""
    skipinitialspace: bool = False
    skiprows: int = 0
    column_names: Sequence[str] | None = None
    encoding: str = ""

    def read(self, paths: Sequence[Path], /) -> Contents:
        for option, value, may_be_empty in (
            ("delimiter", self.delimiter, False), ("quotechar", self.quotechar, False), ("escapechar", self.escapechar, True)
        ):  # fmt: skip
            if len(value) != 1 and (value or not may_be_empty):
                raise DataError(f"options: {option} is one character, not {value!r}")
        files = [_File(path, self) for path in paths]
        first = files[0]

        def rows() -> Iterator[Row]:
            for file in files:
                with file.opened():
                    if set(file.columns) != set(first.columns):
                        raise DataError(
                            f"{file.path} has the columns {_listed(file.columns)}, and {first.path} has {_listed(first.columns)}; "
                            "files that are read together have the same columns"
                        )
                    yield from file.rows()

        made = keep_rows(rows())
        notes = tuple(note for file in files for note in file.notes())
        return Contents(made, first.columns, notes=notes, hint=_hint(first.columns, self))


@dataclass(frozen=True, kw_only=True)
class Tsv(Csv):
    """Cells between tabs, without quoting unless ``quoting: true`` says so."""

    delimiter: str = "\t"
    quoting: bool = False


class _File:
    """One file as it is read: its columns, once it is opened, and what was found beside the rows."""

    def __init__(self, path: Path, options: Csv) -> None:
        self.path, self._options = path, options
        self.columns: tuple[str, ...] = ()
        self._num_blank = self._first_blank = self._num_whole = 0
        self._text = ""
        """Of the record that is being read."""
        self._records: Iterator[tuple[int, list[str]]] = iter(())

    @contextmanager
    def opened(self) -> Iterator[None]:
        o = self._options
        with open_text(self.path, o.encoding, newline="") as stream, _cells_of_any_length():
            for _ in range(o.skiprows):
                stream.readline()

            def lines() -> Iterator[str]:
                for line in stream:
                    self._text += line
                    yield line

            self._reader = csv.reader(
                lines(), delimiter=o.delimiter, quoting=csv.QUOTE_MINIMAL if o.quoting else csv.QUOTE_NONE, quotechar=o.quotechar,
                escapechar=o.escapechar or None, skipinitialspace=o.skipinitialspace, strict=True,
            )  # fmt: skip
            self._records = self._read()
            self.columns = self._given_names(o.column_names) if o.column_names else self._header()
            if len(set(self.columns)) != len(self.columns):
                raise DataError(
                    f"{self.path}: the columns {_listed(self.columns)} are not unique; "
                    f"give options: {{column_names: [...], skiprows: {o.skiprows + 1}}}"
                )
            yield

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """Each record with the line that it begins in. Blank lines are counted."""
        begun = self._options.skiprows + 1
        while True:
            self._text = ""
            try:
                cells = next(self._reader, None)
            except csv.Error as error:
                raise DataError(f"{self.path}, line {begun}: {self._explained(str(error))}") from error
            if cells is None:
                return
            if cells:
                yield begun, cells
            else:
                self._num_blank += 1
                self._first_blank = self._first_blank or begun
            begun = self._options.skiprows + self._reader.line_num + 1

    def _explained(self, error: str) -> str:
        if "unexpected end" in error:
            return "a quote is opened here and never closed. Close it, or give options: {quoting: false} where quotes are plain characters"
        if "expected after" in error:
            return (
                f"text follows a closing quote: {self._text.strip()[-_SHOWN:]!r}. A quote within a quoted cell is written twice; "
                'give options: {escapechar: "\\\\"} where it has a backslash, {quoting: false} where quotes are plain characters'
            )
        return error

    def _header(self) -> tuple[str, ...]:
        _, cells = next(self._records, (0, []))
        if any("\x00" in name for name in cells):
            raise DataError(
                f"{self.path}: the names of its columns hold zero bytes; is it UTF-16? Then give options: {{encoding: utf-16-le}}"
            )
        return tuple(name or f"Unnamed: {place}" for place, name in enumerate(cells))  # as pandas calls it

    def _given_names(self, names: Sequence[str]) -> tuple[str, ...]:
        first = next(self._records, None)
        if first is not None and first[1] == list(names):
            raise DataError(f"{self.path}: its first line gives the same names as column_names; leave column_names out")
        self._records = chain([] if first is None else [first], self._records)
        return tuple(names)

    def rows(self) -> Iterator[Row]:
        """Raises `DataError` at the end where records do not fit the header, with their number and the first of them."""
        columns, o = self.columns, self._options
        bad: tuple[int, list[str], str] | None = None
        num = num_bad = 0
        for line, cells in self._records:
            num += 1
            if len(cells) == len(columns):
                yield dict(zip(columns, cells, strict=True))
            elif len(columns) == 1 and not o.column_names and not self._has_quoted_cells():
                self._num_whole += 1
                yield {columns[0]: self._text.rstrip("\r\n")}
            else:
                bad, num_bad = bad or (line, cells, self._text), num_bad + 1
        if bad is not None:
            raise DataError(self._unfit(*bad, num_bad, num))

    def _has_quoted_cells(self) -> bool:
        o = self._options
        return bool(o.escapechar) or (o.quoting and any(part.lstrip().startswith(o.quotechar) for part in self._text.split(o.delimiter)))

    def _unfit(self, line: int, cells: Sequence[str], text: str, num: int, of: int) -> str:
        o = self._options
        named = f"column_names has {len(self.columns)} names" if o.column_names else f"the first line names {len(self.columns)} columns"
        said = (
            f"{self.path}, line {line}: {len(cells)} cells, and {named} ({_listed(self.columns)}): {text.strip()[:_SHOWN]!r}. "
            f"So it is with {num} of {of} rows. "
        )
        others = [d for d in _COMMON_DELIMITERS if d != o.delimiter and any(d in name for name in self.columns)]
        if others:
            return said + f"Is the delimiter {others[0]!r}? Then give data: {{options: {{delimiter: {others[0]!r}}}}}"
        if o.column_names:
            return said + "Name every column"
        if len(cells) < len(self.columns):
            return said + "Add the cells that are missing (an empty cell needs its delimiter, too)"
        if not o.quoting and o.quotechar in text:
            return said + "Are cells in quotes? Then give data: {options: {quoting: true}}"
        if o.quoting and f"{o.delimiter} {o.quotechar}" in text:
            return said + "A space stands before a quote: give data: {options: {skipinitialspace: true}}"
        if num == of and len(cells) == len(self.columns) + 1:
            return said + "Is there a column without a name? Then name it in the first line"
        return said + f"A cell that holds {o.delimiter!r} stands in quotes"

    def notes(self) -> Iterator[str]:
        if self._num_blank:
            yield f"{self.path.name}: blank lines are no rows: {self._num_blank}, the first is line {self._first_blank}"
        if self._num_whole:
            delimiter = repr(self._options.delimiter)
            yield f"{self.path.name} has one column: in {self._num_whole} of its rows {delimiter} is a character of the text"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (f", … ({len(names)})" if len(names) > _MOST_NAMES else "")


def _hint(columns: Sequence[str], options: Csv) -> str:
    other = next((d for d in _COMMON_DELIMITERS if d != options.delimiter and len(columns) == 1 and d in columns[0]), "")
    if other:
        return f"Is the delimiter {other!r}? Then give data: {{options: {{delimiter: {other!r}}}}}."
    return "" if options.column_names else "If the first line is a row already: data: {options: {column_names: [...]}}."


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    """`csv` refuses cells of more than 131,072 characters, by a limit of the whole process."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
