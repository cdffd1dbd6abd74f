"""Pairs the rows of two sides, tests the change of each, and corrects for the number of tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ...api.comparison import BETTER, ERROR_RATE, NO_CHANGE, NOT_TESTED, WORSE, RowChange
from ...api.scorecard import Estimate, Row
from ...scorecard.counterparts import drop_models
from ...scorecard.names import TIMES
from ...statistics import Difference, Interval, compare_evidence, get_evidence, holm, pair_evidence
from ...statistics.bootstrap import resamples_for
from ...statistics.differences import combine_intervals
from ...system.interrupts import is_interrupt
from .sides import Side

_SHARES = {"headlines": 0.5, "times": 0.1, "others": 0.4}
"""The parts of the error rate that kinds of rows share.

Headlines are few, and decide most. A slower model is far beyond the tolerance of times, so that a small part finds it.
"""

_MOST_RESAMPLES = 10_000
SECONDS = "seconds_per_sample"
"""The row about time that is a headline of each task."""

_UNPAIRED = "compared without pairs: the number is not computed from single samples"
_ONE_SIDED = "one side has no value"


def compare_rows(baseline: Side, candidate: Side, /, *, with_times: bool) -> list[RowChange]:
    """Return the changes of all rows that both sides have, with verdicts. ``with_times``: also of rows about time."""
    changes: list[RowChange] = []
    opened = set()
    for key, row in candidate.rows.items():
        other = baseline.rows.get(key)
        if other is None:
            continue
        is_headline = key[0] not in opened and _is_headline(row)
        if is_headline:
            opened.add(key[0])
        changes.append(replace(_compare(row, other), is_headline=is_headline))
    pairs = ((row, baseline.times[key]) for key, row in candidate.times.items() if with_times and key in baseline.times)
    changes += [replace(_compare(row, other), is_headline=row.key.is_task and row.metric == SECONDS) for row, other in pairs]
    return decide(_resample_again(changes, baseline, candidate))


def _is_headline(row: Row) -> bool:
    return row.higher_is_better is not None and row.dimension != "efficiency" and not (row.slice or row.control or row.about)


def _compare(row: Row, other: Row) -> RowChange:
    """Return the change of a row, on the samples that both sides have scored."""
    first, second = get_evidence(row), get_evidence(other)
    bare, before = replace(row, evidence=None), other.estimate
    if row.estimate.value is None or before.value is None:
        return RowChange(bare, before, Estimate(None, reason=f"{_ONE_SIDED}: {row.estimate.reason or before.reason}".rstrip(": ")))
    if first is None or second is None:
        return _compare_unpaired(bare, other)
    try:
        difference = compare_evidence(first, second)
        if difference.n and (difference.n < row.estimate.n or difference.n < before.n):
            one, two = pair_evidence(first, second)
            bare, before = replace(bare, estimate=one.estimate()), two.estimate()
    except BaseException as error:
        if is_interrupt(error):
            raise
        # A metric is a plugin: if it fails, the other numbers stay valid.
        difference = Difference(None, reason=f"the metric failed: {type(error).__name__}: {error}")
    shown = Estimate(difference.value, difference.low, difference.high, difference.n, reason=difference.reason)
    return RowChange(bare, before, shown, difference.p_value)


def _compare_unpaired(row: Row, other: Row) -> RowChange:
    after, before = row.estimate, other.estimate
    assert after.value is not None
    assert before.value is not None
    intervals = Interval(after.low, after.high), Interval(before.low, before.high)
    interval = Interval(None, None) if after.low is None or before.low is None else combine_intervals(
        (after.value, before.value), intervals, 0.0
    )  # fmt: skip
    return RowChange(row, before, Estimate(after.value - before.value, interval.low, interval.high, reason=_UNPAIRED))


def decide(changes: Sequence[RowChange], /) -> list[RowChange]:
    """Return the changes with adjusted p-values and verdicts.

    The family is all rows with a p-value, an interval and a better direction. Holm's procedure is weighted by `_SHARES`
    (Holm, Scandinavian Journal of Statistics 1979, section 3).
    """
    places = [place for place, change in enumerate(changes) if _is_tested(change)]
    adjusted = holm([changes[place].p_value or 0.0 for place in places], _weigh([changes[place] for place in places]))
    decided = list(changes)
    for place, p_value in zip(places, adjusted, strict=True):
        decided[place] = replace(changes[place], adjusted_p_value=p_value, verdict=_judge(changes[place], p_value))
    return decided


def _is_tested(change: RowChange) -> bool:
    # Where there are too few samples for an interval, there are too few for a verdict.
    return change.p_value is not None and change.difference.low is not None and change.row.higher_is_better is not None


def _weigh(changes: Sequence[RowChange]) -> list[float]:
    """Return the weight of each row in the family; they sum to 1. A kind without rows leaves its share to the others."""
    kinds = [_name_kind(change) for change in changes]
    total = sum(_SHARES[kind] for kind in set(kinds))
    return [_SHARES[kind] / kinds.count(kind) / total for kind in kinds]


def _name_kind(change: RowChange) -> str:
    if change.row.metric in TIMES:
        return "times"
    return "headlines" if change.is_headline else "others"


def _judge(change: RowChange, adjusted: float) -> str:
    value, low, high = change.difference.value, change.difference.low, change.difference.high
    if value is None or low is None or high is None:
        return NOT_TESTED
    # The test and the interval of one number may disagree; people who see an interval around 0 would not believe the verdict.
    if adjusted > ERROR_RATE or low <= 0 <= high:
        return NO_CHANGE
    return BETTER if (value > 0) == change.row.higher_is_better else WORSE


def _resample_again(changes: list[RowChange], baseline: Side, candidate: Side) -> list[RowChange]:
    """Repeat the tests by resampling whose p-value is the smallest that their resamples allow, with more of them.

    Of 1,000 resamples, no p-value is below 1 / 1001, which in a family of 50 rows decides nothing.
    """
    tested = [change for change in changes if _is_tested(change)]
    weights = iter(_weigh(tested))
    again = []
    for change in changes:
        needed = math.ceil(2 / (ERROR_RATE * next(weights))) if _is_tested(change) else 0
        num = resamples_for(max(1, change.difference.n))
        is_least = change.p_value is not None and math.isclose(change.p_value, 1 / (num + 1), rel_tol=1e-6)
        if needed > num and is_least and change.row.metric not in TIMES:
            change = _retest(change, baseline, candidate, min(needed, _MOST_RESAMPLES))
        again.append(change)
    return again


def _retest(change: RowChange, baseline: Side, candidate: Side, num_resamples: int) -> RowChange:
    key = drop_models(change.row.key), change.row.name
    first, second = (get_evidence(side.rows[key]) for side in (candidate, baseline))
    if first is None or second is None:
        return change
    return replace(change, p_value=compare_evidence(first, second, num_resamples=num_resamples).p_value)
