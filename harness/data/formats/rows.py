"""Rows of a data set, in memory or on disk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...api.errors import DataError, suggest_name
from ...system.disk_sequence import Spool

Row = Mapping[str, Any]


_BLOCK_LENGTH = 8
"""Rows per block on disk. Small, because a shuffled task reads rows in any order and each access reads a whole block."""


def keep_rows(rows: Iterable[Row], /) -> Sequence[Row]:
    """Store rows in a temporary file. Passes on exceptions of the iterator ``rows``."""
    return Spool.of(rows, block_length=_BLOCK_LENGTH)


@dataclass(frozen=True, slots=True)
class Contents:
    """The rows that a format reads from its files.

    class_names: names of the classes by column, if the files declare them.
    notes: one sentence for each kind of content that is not a row, or that was read by a special rule.
    hint: probable cause if a column is missing, for error messages.
    """

    rows: Sequence[Row]
    columns: tuple[str, ...]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """A loaded data set.

    rows: read on access; images are `EncodedImage`.
    fingerprint: SHA-256 of the content.
    source: name of the data set in messages.

    The other fields are those of `Contents`.
    """

    rows: Sequence[Row]
    columns: tuple[str, ...]
    fingerprint: str
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = "data set"
    notes: tuple[str, ...] = ()
    hint: str = ""

    def require(self, columns: Collection[str], /) -> None:
        """Check that these columns exist. Raises `DataError`, which lists the existing columns."""
        for column in columns:
            if column not in self.columns:
                known = ", ".join(name if name == name.strip() else repr(name) for name in self.columns)
                raise DataError(
                    f"{self.source} has no column {column!r}.{suggest_name(column, self.columns)} Its columns: {known}."
                    + (f" {self.hint}" if self.hint else "")
                )

    def select(self, columns: Collection[str], /) -> Sequence[Row]:
        """Return the rows with at least these columns. Skips reading other columns if the data set supports it."""
        select = getattr(self.rows, "select_columns", None)
        return self.rows if select is None else select([name for name in self.columns if name in columns])
