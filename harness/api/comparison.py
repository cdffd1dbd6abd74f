"""The comparison of two models or runs as plain data. Its text is untrusted: code that displays it must escape it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .item_key import ItemKey
from .scorecard import Estimate, Row, Shown

BASELINE = "baseline"
"""The name of the run that a run is compared with without being asked, in the name of its side (`name_side`)."""

WORSE, BETTER, NO_CHANGE, NOT_TESTED = "worse", "better", "no change shown", "not tested"

ERROR_RATE = 0.05
"""The probability that any row of two equal models is called worse or better."""

_FEW_MOVED = 0.1


@dataclass(frozen=True, slots=True)
class RowChange:
    """The change of one number.

    ``row``: the candidate's row; its estimate is over the samples that both sides have scored.
    ``baseline``: the baseline's estimate over the same samples.
    ``difference``: candidate minus baseline; ``n`` counts pairs, or chunks for times; ``reason`` says how it was compared,
        if not sample by sample.
    ``p_value``: two-sided; None if the change is not tested.
    ``adjusted_p_value``: corrected for all tested rows of the comparison; None for rows that are not part of this family.
    ``verdict``: `WORSE`, `BETTER`, `NO_CHANGE` or `NOT_TESTED`.
    ``is_headline``: whether the row is the first of its item, or its seconds per sample.
    """

    row: Row
    baseline: Estimate
    difference: Estimate
    p_value: float | None = None
    adjusted_p_value: float | None = None
    verdict: str = NOT_TESTED
    is_headline: bool = False


@dataclass(frozen=True, slots=True)
class Flip:
    """One sample whose result differs between the two sides.

    ``change``: ``regressed`` or ``fixed`` (a right answer became wrong, or the reverse; under attack for items of
        attacks), or ``explanation moved`` (the answer stayed).
    ``before``, ``after``: the outputs of baseline and candidate; None if they are not known.
    ``size``: how large the change is, for the order: the loss of probability of the target, or 1 minus the rank
        correlation of two explanations; None if it is not known.
    """

    key: ItemKey
    sample_id: str
    change: str
    before: str | None = None
    after: str | None = None
    target: str | None = None
    slice: str = ""
    input: Shown | None = None
    size: float | None = None


@dataclass(frozen=True, slots=True)
class FlipCount:
    """The number of flips of an item, in one part of its samples.

    ``part``: ``all``, ``slice`` or ``class``; ``name``: that of the slice or class. ``n``: the compared samples.
    """

    key: ItemKey
    part: str
    name: str
    regressed: int
    fixed: int
    n: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired comparison of a candidate with a baseline.

    ``baseline``, ``candidate``: the names of the two sides, from `name_side`.
    ``rows``: the changes of all numbers that both sides have, in the order of the candidate's scorecard.
    ``flips``: samples whose result differs: for each item, the regressed ones first, the largest change first.
    ``counts``: the numbers of flips by item, slice and class; they cover flips that ``flips`` leaves out.
    ``fidelity``: how much the answers and explanations differ, whether or not they are right.
    ``mismatches``: sentences about differences of data, tasks or settings that the user has allowed.
    ``notes``: sentences about items and samples that only one side has.
    """

    baseline: str
    candidate: str
    rows: tuple[RowChange, ...]
    flips: tuple[Flip, ...] = ()
    counts: tuple[FlipCount, ...] = ()
    fidelity: tuple[Row, ...] = ()
    mismatches: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def verdict(self) -> str:
        """The worst verdict of a tested row: a candidate that is better in one row and worse in another is worse."""
        verdicts = {change.verdict for change in self.rows}
        return next((name for name in (WORSE, BETTER, NO_CHANGE) if name in verdicts), NOT_TESTED)

    @property
    def remarks(self) -> list[str]:
        """Statements for beside the verdict: items whose explanations moved for more than a tenth of the samples, by the lower bound.

        They are no verdict, because neither direction is better.
        """
        moved = [(row.item, row.estimate) for row in self.fidelity if row.metric == "explanations_moved"]
        return [f"{e.value:.0%} of the explanations of {item} moved" for item, e in moved if e.low is not None and e.low > _FEW_MOVED]

    def of_verdict(self, verdict: str, /) -> list[RowChange]:
        """Return the rows with this verdict: headlines first, then by adjusted p-value."""
        rows = [change for change in self.rows if change.verdict == verdict]
        return sorted(rows, key=lambda c: (not c.is_headline, 1.0 if c.adjusted_p_value is None else c.adjusted_p_value))

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values. Inputs are their texts."""
        return {
            "baseline": self.baseline, "candidate": self.candidate, "verdict": self.verdict, "mismatches": list(self.mismatches),
            "notes": list(self.notes), "rows": [_change_to_json(change) for change in self.rows],
            "counts": [_with_item(count.key, asdict(count)) for count in self.counts],
            "flips": [{**_with_item(flip.key, asdict(flip)), "input": flip.input and flip.input.text} for flip in self.flips],
            "fidelity": [{**_row_to_json(row), "estimate": asdict(row.estimate)} for row in self.fidelity],
        }  # fmt: skip


def name_side(run: str, model: str, /) -> str:
    """Return the name of one model of one run: ``runs/may: candidate``."""
    return f"{run}: {model}" if run else model


def _row_to_json(row: Row) -> dict[str, Any]:
    return {
        "model": row.model, "item": row.item, "metric": row.name, "dimension": row.dimension, "higher_is_better": row.higher_is_better,
        "unit": row.unit, "key": row.key.to_json(),
        "parts": {"metric": row.metric, "control": row.control, "about": row.about, "slice": row.slice},
    }  # fmt: skip


def _change_to_json(change: RowChange) -> dict[str, Any]:
    return {
        **_row_to_json(change.row), "candidate": asdict(change.row.estimate), "baseline": asdict(change.baseline),
        "difference": asdict(change.difference), "p_value": change.p_value, "adjusted_p_value": change.adjusted_p_value,
        "verdict": change.verdict, "is_headline": change.is_headline,
    }  # fmt: skip


def _with_item(key: ItemKey, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**facts, "key": key.to_json(), "item": str(key)}
