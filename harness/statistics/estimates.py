"""A metric's numbers as estimates, and how many samples would decide a gate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..api.errors import DataError
from ..api.scorecard import Estimate
from .groups import Groups
from .statistic import Columns, Statistic


def estimate(
    metric: Statistic,
    columns: Columns,
    labels: tuple[str, ...],
    *,
    groups: Sequence[str | None] = (),
    n_unscored: int = 0,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Each number of a metric with its 95 % interval, by name. ``columns`` hold the scored samples, ``groups`` their groups.

    The interval is `Metric.intervals`, widened where it does not hold the value (an ECE, which noise raises). The bounds are None, and the
    reason says why, where too few samples, groups or classes are there for an interval that covers what it promises.
    Raises `DataError` where a column is missing or the lengths differ.
    """
    n = num_samples(metric, columns, groups)
    if n == 0:
        return {name: Estimate(None, n_unscored=n_unscored, reason="no sample could be scored") for name in metric.names(labels)}
    estimates = {name: Estimate(None, n=n, n_unscored=n_unscored, reason=why) for name, why in metric.undefined(columns, labels).items()}
    values = metric.evaluate_columns(columns, labels)
    intervals = metric.intervals(columns, labels, Groups.of(n, groups), seed)
    for name, value in values.items():
        found = intervals[name]
        low, high = None if found.low is None else min(found.low, value), None if found.high is None else max(found.high, value)
        estimates[name] = Estimate(value, low, high, n, n_unscored, found.reason)
    return {name: estimates[name] for name in metric.names(labels)}


def samples_to_decide(estimate: Estimate, threshold: float) -> int | None:
    """About how many samples, in all, would make the interval exclude the threshold if the value stayed the same.

    The interval's side that faces the threshold is taken to shrink as 1 / sqrt(n), which for a rate is good to a third. At most
    ``estimate.n`` where it is excluded already; None where the value equals the threshold or there is no interval.
    """
    if estimate.value is None or estimate.value == threshold:
        return None
    bound = estimate.low if estimate.value > threshold else estimate.high
    if bound is None:
        return None
    ratio = (estimate.value - bound) / (estimate.value - threshold)
    # Not ** 2, which raises where a product is infinite.
    num_exact = estimate.n * ratio * ratio
    return math.floor(num_exact) + 1 if math.isfinite(num_exact) else None


def num_samples(metric: Statistic, columns: Columns, groups: Sequence[str | None]) -> int:
    """How many samples the columns hold. Raises `DataError` where a column is missing or the lengths differ."""
    missing = sorted(metric.needs - columns.keys())
    if missing:
        raise DataError(f"the metric {metric.name!r} needs the column {missing[0]!r}; there are {', '.join(sorted(columns)) or 'none'}")
    lengths = {name: len(columns[name]) for name in sorted(metric.needs)} | ({"groups": len(groups)} if groups else {})
    if len(set(lengths.values())) > 1:
        raise DataError(f"the columns have different lengths: {', '.join(f'{name} {length}' for name, length in lengths.items())}")
    return next(iter(lengths.values()))
