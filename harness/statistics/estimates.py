"""Estimates of a metric's values, and the number of samples that would decide a gate."""

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
    """Return the values of a metric with their 95 % intervals, by name.

    columns: the scored samples. labels: class names. groups: group of each sample, or empty.
    n_unscored: number of samples without a score. seed: for intervals that draw random numbers.

    The interval is `Metric.intervals`, widened to contain the value if necessary (noise raises an ECE). Its bounds are
    None, with the reason, if there are too few samples, groups or classes for the promised coverage.

    Raises `DataError` if a column is missing or lengths differ.
    """
    n = num_samples(metric, columns, groups)
    if n == 0:
        return {name: Estimate(None, n_unscored=n_unscored, reason="no sample could be scored") for name in metric.names(labels)}
    estimates = {name: Estimate(None, n=n, n_unscored=n_unscored, reason=why) for name, why in metric.undefined(columns, labels).items()}
    values = metric.evaluate_columns(columns, labels)
    intervals = metric.intervals(columns, labels, Groups.of(n, groups), seed)
    for name, value in values.items():
        interval = intervals[name]
        low = None if interval.low is None else min(interval.low, value)
        high = None if interval.high is None else max(interval.high, value)
        estimates[name] = Estimate(value, low, high, n, n_unscored, interval.reason)
    return {name: estimates[name] for name in metric.names(labels)}


def samples_to_decide(estimate: Estimate, threshold: float) -> int | None:
    """Estimate the total number of samples for which the interval would exclude the threshold, at the same value.

    The distance from the value to the bound is assumed to shrink as 1 / sqrt(n), which for a rate is right within a
    third. The result is at most ``estimate.n`` if the threshold is already excluded, and None if the value equals the
    threshold or there is no interval.
    """
    if estimate.value is None or estimate.value == threshold:
        return None
    bound = estimate.low if estimate.value > threshold else estimate.high
    if bound is None:
        return None
    ratio = (estimate.value - bound) / (estimate.value - threshold)
    # Not ** 2, which raises OverflowError for an infinite result.
    num_exact = estimate.n * ratio * ratio
    return math.floor(num_exact) + 1 if math.isfinite(num_exact) else None


def num_samples(metric: Statistic, columns: Columns, groups: Sequence[str | None]) -> int:
    """Return the number of samples in the columns. Raises `DataError` if a column is missing or lengths differ."""
    missing = sorted(metric.needs - columns.keys())
    if missing:
        raise DataError(f"the metric {metric.name!r} needs the column {missing[0]!r}; there are {', '.join(sorted(columns)) or 'none'}")
    lengths = {name: len(columns[name]) for name in sorted(metric.needs)} | ({"groups": len(groups)} if groups else {})
    if len(set(lengths.values())) > 1:
        raise DataError(f"the columns have different lengths: {', '.join(f'{name} {length}' for name, length in lengths.items())}")
    return next(iter(lengths.values()))
