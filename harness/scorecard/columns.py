"""Columns of an item's records. One pass over the records collects only the values that the item's rows need."""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api.errors import TooLong, Withheld
from ..api.samples import Record
from ..statistics.evidence import hash_id

Mask = NDArray[np.bool_]
NOTED = ("unscored", "num_truncated", "zero_gradient", "converged", "budget_exhausted", "is_refused_by_provider")
"""Artifacts that a summary counts, in addition to those that metrics need."""

MOST_FAILED = 0.5
"""If a larger share of an item's samples failed, the run cannot pass, because the other samples may be unusual."""

_BLOCK_LENGTH = 4096


class Column:
    """A column with at most one value per record.

    Blocks of numpy arrays take about a tenth of the memory of Python objects.
    """

    def __init__(self) -> None:
        self._places = array("I")
        self._pending: list[Any] = []
        self._blocks: list[NDArray[Any]] = []
        self._ragged: ValueError | None = None

    def add(self, place: int, value: Any, /) -> None:
        """Add the value of the record with index ``place``. Records are added in order."""
        self._places.append(place)
        # Interning saves memory: a few names of slices occur many times.
        self._pending.append(sys.intern(value) if type(value) is str else value)
        if len(self._pending) == _BLOCK_LENGTH:
            self._flush()

    def _flush(self) -> None:
        try:
            self._blocks.append(_make_objects(self._pending) if any(map(_has_text, self._pending)) else np.asarray(self._pending))
        except ValueError as error:
            self._ragged = error
        self._pending = []

    def __len__(self) -> int:
        return len(self._places)

    def given(self, num: int, /) -> Mask:
        """Return the mask of the records with a value, bool [N]. ``num``: N, the number of records."""
        mask_N = np.zeros(num, dtype=bool)
        mask_N[self._places] = True
        return mask_N

    def among(self, mask_N: Mask, /) -> NDArray[Any]:
        """Return the values of the masked records, without those that have none.

        ``mask_N``: the selected records, bool [N]. Raises `ValueError` if the values differ in shape.
        """
        if self._pending:
            self._flush()
        if self._ragged is not None:
            raise self._ragged
        values = np.concatenate(self._blocks) if self._blocks else np.empty(0)
        self._blocks = [values]
        return values[mask_N[self._places]]


def _has_text(value: Any) -> bool:
    """Tell whether a value is a text, or a list of texts, such as the references of a translation."""
    return isinstance(value, str) or (isinstance(value, list | tuple) and any(isinstance(part, str) for part in value))


def _make_objects(values: Sequence[Any]) -> NDArray[Any]:
    """Return values as objects, because numpy's text type pads to the longest and drops trailing NULs, and lists may differ in length."""
    objects = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        objects[place] = value
    return objects


class Table:
    """The columns of an item's N records.

    ``columns``: by name; a column has no value for records without one.
    ``num``: N.
    ``first_error``: the error of the first failed record.
    ``unscored``: why the first unscored record has no scores.
    ``why_not_attacked``: the error of the first sample that the attack could not process.
    ``notes``: counts of records with special conditions, such as ``failed``.
    """

    def __init__(self, wanted: Iterable[str] = ()) -> None:
        self.wanted = frozenset(wanted)
        self.columns: dict[str, Column] = {name: Column() for name in self.wanted}
        self.num = 0
        self.first_error: str | None = None
        self.unscored = ""
        self.why_not_attacked = ""
        self.notes: Counter[str] = Counter()
        self._failed = bytearray()
        self._ids = array("Q")
        self._groups: list[str | None] = []

    @classmethod
    def of(cls, rows: Iterable[tuple[Record, Any, str | None]], wanted: Iterable[str] | None, also: Iterable[str] = ()) -> Table:
        """Create a table from records.

        ``rows``: (record, target, group) for each sample; the group is None if it has none.
        ``wanted``: the names of the columns, which are scores, artifacts or ``target``; None for all scores.
        ``also``: artifacts to add as columns.
        """
        also = frozenset(also)
        table = cls(wanted or ())
        for record, target, group in rows:
            table._note(record)
            table._failed.append(record.error is not None)
            table._ids.append(hash_id(record.sample_id))
            table._group(group)
            if wanted is None:
                table._add(record.scores)
            else:
                table._add({name: _read_value(record, name, target) for name in table.wanted})
            table._add({name: record.artifacts.get(name) for name in also - table.wanted})
            table.num += 1
        return table

    def _group(self, group: str | None) -> None:
        if group is not None and not self._groups:
            self._groups = [None] * self.num
        if group is not None or self._groups:
            self._groups.append(group)

    def _add(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if value is not None:
                if name not in self.columns:
                    self.columns[name] = Column()
                self.columns[name].add(self.num, value)

    def _note(self, record: Record) -> None:
        """Count the record's special conditions, and keep the first errors."""
        if record.error is not None and self.first_error is None:
            self.first_error = record.error
        if record.error is None and not self.unscored:
            self.unscored = str(record.artifacts.get("unscored") or "")
        self.notes["records"] += 1
        self.notes["failed"] += record.error is not None
        for error in (TooLong, Withheld):
            self.notes[error.__name__] += record.error is not None and record.error.startswith(f"{error.__name__}: ")
        self.notes["refused"] += "is_refused_by_provider" in record.artifacts
        self.notes["truncated"] += "num_truncated" in record.artifacts
        self.notes["loose"] += record.artifacts.get("converged") is False
        attacked = record.scores.get("success") is not None and record.scores.get("not_attacked") != 1
        self.notes["attacked"] += attacked
        self.notes["zero_gradient"] += attacked and bool(record.artifacts.get("zero_gradient"))
        self.notes["exhausted"] += attacked and bool(record.artifacts.get("budget_exhausted"))
        self.notes["outside"] += record.scores.get("outside_threat") == 1
        if record.scores.get("not_attacked") == 1:
            self.notes["not_attacked"] += 1
            self.why_not_attacked = self.why_not_attacked or str(record.error)

    @property
    def failed_N(self) -> Mask:
        """The mask of the records with an error, bool [N]."""
        return np.frombuffer(bytes(self._failed), dtype=bool)

    def mostly_failed(self, meant: str = "", /) -> tuple[int, int] | None:
        """Return (failed, total) if more than `MOST_FAILED` of all samples or of a slice failed; otherwise None.

        ``meant``: a score that only processed samples have, if the item skips samples; the total then excludes skipped
        ones. The table needs the column ``slice``.
        """
        for part_N in (np.ones(self.num, dtype=bool), *self.slices().values()):
            failed, num = self.count_failed(meant, part_N)
            if failed > MOST_FAILED * num:
                return failed, num
        return None

    def count_failed(self, meant: str = "", among_N: Mask | None = None, /) -> tuple[int, int]:
        """Return the numbers of failed and of all samples. ``meant``: as of `mostly_failed`. ``among_N``: those to count, bool [N]."""
        meant_N = self.failed_N | self.given(meant) if meant else np.ones(self.num, dtype=bool)
        part_N = np.ones(self.num, dtype=bool) if among_N is None else among_N
        return int((part_N & self.failed_N).sum()), int((part_N & meant_N).sum())

    def given(self, name: str, /) -> Mask:
        """Return the mask of the records with a value in the column, bool [N]."""
        return self.columns[name].given(self.num) if name in self.columns else np.zeros(self.num, dtype=bool)

    def values(self, name: str, mask_N: Mask, /) -> NDArray[Any]:
        """Return the column's values for the masked records, without those that have none.

        Raises `ValueError` if the values differ in shape.
        """
        return self.columns[name].among(mask_N) if name in self.columns else np.empty(0)

    def slices(self) -> dict[str, Mask]:
        """Return the mask of each slice's records, bool [N], by name. The table needs the column ``slice``."""
        given_N = self.given("slice")
        values = self.values("slice", given_N)
        found = {}
        for name in np.unique(values).tolist():
            mask_N = given_N.copy()
            mask_N[given_N] = values == name
            found[str(name)] = mask_N
        return found

    def ids(self, mask_N: Mask, /) -> NDArray[np.uint64]:
        """Return the hash of the sample's id of each masked record (`statistics.evidence.hash_id`)."""
        return np.frombuffer(self._ids, dtype=np.uint64)[mask_N]

    def groups(self, mask_N: Mask, /) -> Sequence[str | None]:
        """Return the groups of the masked records; empty if no record has a group."""
        return [self._groups[place] for place in np.flatnonzero(mask_N)] if self._groups else ()


def _read_value(record: Record, column: str, target: Any) -> Any:
    """Return the record's score or artifact with the name of the column, or the sample's target; None if missing."""
    if column in record.scores:
        return record.scores[column]
    if column in record.artifacts:
        return record.artifacts[column]
    return target if column == "target" else None
