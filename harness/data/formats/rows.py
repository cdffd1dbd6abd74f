"""A data set that was read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...api.errors import DataError, did_you_mean
from ...system.disk_sequence import Spool

Row = Mapping[str, Any]


_BLOCK_LENGTH = 8
"""A shuffled task reads rows in any order, and a block is read whole."""


def keep_rows(rows: Iterable[Row], /) -> Sequence[Row]:
    """The rows in a temporary file; what ``rows`` raises is raised here."""
    return Spool.of(rows, block_length=_BLOCK_LENGTH)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a format found in its files.

    ``class_names``: names of the classes, by column, where the files declare them. ``notes``: what of the files is no row or was read by a
    rule that the reader should know, a sentence each. ``hint``: what may be wrong where a column is missing.
    """

    rows: Sequence[Row]
    columns: tuple[str, ...]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """A loaded data set. ``rows``: read when they are asked for; images are `EncodedImage`.

    ``fingerprint``: SHA-256 of the content. ``source``: what messages call the data set. The other fields are those of `Contents`.
    """

    rows: Sequence[Row]
    columns: tuple[str, ...]
    fingerprint: str
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = "data set"
    notes: tuple[str, ...] = ()
    hint: str = ""

    def require(self, columns: Collection[str], /) -> None:
        """Raises `DataError`, which lists the columns there are, when one of these is not among them."""
        for column in columns:
            if column not in self.columns:
                known = ", ".join(name if name == name.strip() else repr(name) for name in self.columns)
                raise DataError(
                    f"{self.source} has no column {column!r}.{did_you_mean(column, self.columns)} Its columns: {known}."
                    + (f" {self.hint}" if self.hint else "")
                )

    def only(self, columns: Collection[str], /) -> Sequence[Row]:
        """The rows with at least these columns: reading the others is saved where the data set can do without."""
        select = getattr(self.rows, "select_columns", None)
        return self.rows if select is None else select([name for name in self.columns if name in columns])
