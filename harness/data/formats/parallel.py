"""Parallel texts: files whose lines belong together, one file per column, as corpora of translations are published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from ...api.errors import DataError
from .open_files import open_text
from .rows import Contents, Row, keep_rows


@dataclass(frozen=True, kw_only=True)
class Parallel:
    """One row per line number, with a column for each file, in the order of the files.

    column_names: names of the columns.
    encoding: default UTF-8.
    """

    column_names: Sequence[str] = ("source", "target")
    encoding: str = ""

    def read(self, paths: Sequence[Path], /) -> Contents:
        """Read the files side by side. Raises `DataError` if they have different numbers of lines, or not one file per column."""
        if len(paths) != len(self.column_names):
            raise DataError(
                f"parallel texts need one file per column: there are {len(paths):,} files ({', '.join(path.name for path in paths)}) for "
                f"the columns {', '.join(self.column_names)}; set data: {{options: {{column_names: [...]}}}}"
            )
        return Contents(keep_rows(self._read_rows(paths)), tuple(self.column_names))

    def _read_rows(self, paths: Sequence[Path]) -> Iterator[Row]:
        with ExitStack() as files:
            streams = [files.enter_context(open_text(path, self.encoding)) for path in paths]
            for number, lines in enumerate(zip_longest(*streams), 1):
                ended = [path.name for path, line in zip(paths, lines, strict=True) if line is None]
                if ended:
                    raise DataError(
                        f"{', '.join(ended)} has {number - 1:,} lines, fewer than the other files, so lines do not belong together"
                    )
                yield {name: line.removesuffix("\n") for name, line in zip(self.column_names, lines, strict=True)}
