"""Delimiter-separated tables: csv and tsv. A cell is the text in the file, unchanged."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ...api.errors import DataError
from .open_files import open_text
from .rows import Contents, Row, keep_rows

_COMMON_DELIMITERS = ",;\t|"
_SHOWN = 60
_MOST_NAMES = 12


@dataclass(frozen=True, kw_only=True)
class Csv:
    """Cells between delimiters, read by Python's `csv` in strict mode. The first line names the columns.

    Every line must have as many cells as the first. In a file with one column, a line is one cell even if it contains
    delimiters. Blank lines are skipped and counted.

    delimiter: one character.
    quoting: whether cells may be quoted; if not, quotes are plain characters.
    quotechar: the quote character; doubled within a quoted cell, it stands for itself.
    escapechar: makes the next character a plain one.
    skipinitialspace: ignore spaces after a delimiter.
    skiprows: number of lines to skip at the start.
    column_names: column names for a file without a header line.
    encoding: default UTF-8.
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
                raise DataError(f"options: {option} must be one character, not {value!r}")
        files = [_File(path, self) for path in paths]
        first = files[0]

        def rows() -> Iterator[Row]:
            for file in files:
                with file.opened():
                    if set(file.columns) != set(first.columns):
                        raise DataError(
                            f"{file.path} has the columns {_join(file.columns)}, but {first.path} has {_join(first.columns)}; "
                            "files of one data set need the same columns"
                        )
                    yield from file.rows()

        kept = keep_rows(rows())
        notes = tuple(note for file in files for note in file.notes())
        return Contents(kept, first.columns, notes=notes, hint=_hint(first.columns, self))


@dataclass(frozen=True, kw_only=True)
class Tsv(Csv):
    """Cells between tabs, by default without quoting. The options are those of csv."""

    delimiter: str = "\t"
    quoting: bool = False


class _File:
    """One file while it is read: its columns, known once it is open, and counts for the notes."""

    def __init__(self, path: Path, options: Csv) -> None:
        self.path, self._options = path, options
        self.columns: tuple[str, ...] = ()
        self._num_blank = self._first_blank = self._num_whole = 0
        self._text = ""
        """Text of the current record."""
        self._records: Iterator[tuple[int, list[str]]] = iter(())

    @contextmanager
    def opened(self) -> Iterator[None]:
        o = self._options
        with open_text(self.path, o.encoding, newline="") as stream, _allow_long_cells():
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
            self._records = self._read_records()
            self.columns = self._use_names(o.column_names) if o.column_names else self._read_header()
            if len(set(self.columns)) != len(self.columns):
                raise DataError(
                    f"{self.path}: the columns {_join(self.columns)} are not unique; "
                    f"set options: {{column_names: [...], skiprows: {o.skiprows + 1}}}"
                )
            yield

    def _read_records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (number of its first line, cells) for each record, and count blank lines."""
        begun = self._options.skiprows + 1
        while True:
            self._text = ""
            try:
                cells = next(self._reader, None)
            except csv.Error as error:
                raise DataError(f"{self.path}, line {begun}: {self._explain(str(error))}") from error
            if cells is None:
                return
            if cells:
                yield begun, cells
            else:
                self._num_blank += 1
                self._first_blank = self._first_blank or begun
            begun = self._options.skiprows + self._reader.line_num + 1

    def _explain(self, error: str) -> str:
        """Return the cause and the fix of an error of `csv`."""
        if "unexpected end" in error:
            return "a quote is opened here and never closed. Close it, or set options: {quoting: false} if quotes are plain characters"
        if "expected after" in error:
            return (
                f"text follows a closing quote: {self._text.strip()[-_SHOWN:]!r}. Double each quote within a quoted cell, or set "
                'options: {escapechar: "\\\\"} if they have a backslash, or {quoting: false} if quotes are plain characters'
            )
        return error

    def _read_header(self) -> tuple[str, ...]:
        _, cells = next(self._records, (0, []))
        if any("\x00" in name for name in cells):
            raise DataError(f"{self.path}: its column names contain zero bytes; is it UTF-16? Then set options: {{encoding: utf-16-le}}")
        return tuple(name or f"Unnamed: {index}" for index, name in enumerate(cells))  # the name that pandas gives

    def _use_names(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the option. Raises `DataError` if the first line repeats them."""
        first = next(self._records, None)
        if first is not None and first[1] == list(names):
            raise DataError(f"{self.path}: its first line has the same names as column_names; leave column_names out")
        self._records = chain([] if first is None else [first], self._records)
        return tuple(names)

    def rows(self) -> Iterator[Row]:
        """Yield the rows. Raises `DataError` at the end, with the first bad record, if records do not fit the header."""
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
            raise DataError(self._describe_bad_record(*bad, num_bad, num))

    def _has_quoted_cells(self) -> bool:
        o = self._options
        return bool(o.escapechar) or (o.quoting and any(part.lstrip().startswith(o.quotechar) for part in self._text.split(o.delimiter)))

    def _describe_bad_record(self, line: int, cells: Sequence[str], text: str, num_bad: int, num: int) -> str:
        """Return an error message for the first of ``num_bad`` records, of ``num``, that do not fit the header."""
        o = self._options
        expected = f"column_names has {len(self.columns)} names" if o.column_names else f"the first line names {len(self.columns)} columns"
        what = (
            f"{self.path}, line {line}: {len(cells)} cells, but {expected} ({_join(self.columns)}): {text.strip()[:_SHOWN]!r}. "
            f"{num_bad:,} of {num:,} rows do not fit. "
        )
        others = [d for d in _COMMON_DELIMITERS if d != o.delimiter and any(d in name for name in self.columns)]
        if others:
            return what + f"Is the delimiter {others[0]!r}? Then set data: {{options: {{delimiter: {others[0]!r}}}}}"
        if o.column_names:
            return what + "Name every column"
        if len(cells) < len(self.columns):
            return what + "Add the missing cells (an empty cell needs its delimiter, too)"
        if not o.quoting and o.quotechar in text:
            return what + "Are cells in quotes? Then set data: {options: {quoting: true}}"
        if o.quoting and f"{o.delimiter} {o.quotechar}" in text:
            return what + "There is a space before a quote: set data: {options: {skipinitialspace: true}}"
        if num_bad == num and len(cells) == len(self.columns) + 1:
            return what + "Is there a column without a name? Then name it in the first line"
        return what + f"Quote each cell that contains {o.delimiter!r}"

    def notes(self) -> Iterator[str]:
        if self._num_blank:
            yield f"{self.path.name}: {self._num_blank:,} blank lines were skipped, the first is line {self._first_blank}"
        if self._num_whole:
            delimiter = repr(self._options.delimiter)
            yield f"{self.path.name} has one column: in {self._num_whole:,} of its rows {delimiter} is part of the text"


def _join(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (f", … ({len(names)})" if len(names) > _MOST_NAMES else "")


def _hint(columns: Sequence[str], options: Csv) -> str:
    other = next((d for d in _COMMON_DELIMITERS if d != options.delimiter and len(columns) == 1 and d in columns[0]), "")
    if other:
        return f"Is the delimiter {other!r}? Then set data: {{options: {{delimiter: {other!r}}}}}."
    return "" if options.column_names else "If the first line is already a row, set data: {options: {column_names: [...]}}."


@contextmanager
def _allow_long_cells() -> Iterator[None]:
    """Lift the limit of `csv`, 131,072 characters per cell, which is global, and restore it afterwards."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
