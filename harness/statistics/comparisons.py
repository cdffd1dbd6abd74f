"""Paired comparisons of two runs, or two scores, on the same samples; correction for multiple tests.

Shape legend: N samples, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, stdtr

from ..api.errors import DataError
from .bootstrap import CHUNK_BYTES, resampled, resamples_for
from .differences import combine_intervals
from .estimates import num_samples
from .groups import Groups
from .intervals import TAIL, Floats, Ints
from .means import FEW_GROUPS, effective_mean
from .skewed import mean_interval
from .statistic import Columns, Scores, Statistic

_PHANTOM_GROUPS = 4.0
"""Number of phantom groups that shrink the correlation of two runs, which few groups hardly determine."""


@dataclass(frozen=True, slots=True)
class McNemar:
    """The result of McNemar's test.

    num_only_a, num_only_b: number of samples that only run A, or only run B, predicts correctly.
    """

    num_only_a: int
    num_only_b: int
    p_value: float


def mcnemar(correct_a: ArrayLike, correct_b: ArrayLike) -> McNemar:
    """Test whether two runs have the same error rate: McNemar's test (1947), two-sided, in its exact binomial form.

    correct_a, correct_b: bool [N] each.

    Raises `DataError` if the lengths differ.
    """
    a_N, b_N = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a_N.ndim != 1 or a_N.shape != b_N.shape:
        raise DataError(f"the runs have {a_N.shape} and {b_N.shape} results; McNemar's test needs one result per sample from each")
    only_a, only_b = int(np.sum(a_N & ~b_N)), int(np.sum(b_N & ~a_N))
    return McNemar(only_a, only_b, min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5))))


@dataclass(frozen=True, slots=True)
class Difference:
    """The change of a value between two runs on the same samples, with its 95 % interval and two-sided p-value.

    Fields are None, with the reason, if there is nothing to compare or the variance is unknown.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    n: int = 0
    reason: str = ""


def paired_mean_difference(
    a: ArrayLike, b: ArrayLike, low: float | None = None, high: float | None = None, groups: Sequence[str | None] = (), tail: float = TAIL
) -> Difference:
    """Return the mean of ``a`` minus the mean of ``b``.

    a, b: scores, float [N] each; row i of both is the same sample.
    low, high: bounds of the scores of a pair. The differences are then between low - high and high - low, and their mean
        has Gaffke's interval (`means.Side`); without both, the interval is that of an unbounded mean.
    groups: group of each sample, or empty.
    tail: the probability with which a bound may miss; less at one of several looks (`fixed_looks.find_tails`). The p-value is then
        scaled, so that it is below 5 % where the interval excludes 0.

    Raises `DataError` if the lengths differ or a score is out of bounds.
    """
    a_N, b_N = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a_N.ndim != 1 or a_N.shape != b_N.shape:
        raise DataError(f"the scores have the shapes {a_N.shape} and {b_N.shape}; a paired comparison needs one score per sample from each")
    n = len(a_N)
    if n == 0:
        return Difference(None, reason="no sample could be scored")
    members, difference_N = Groups.of(n, groups), a_N - b_N
    value = float(difference_N.mean())
    if low is None or high is None:
        return require_fixed_number(_compare_unbounded(difference_N, members), tail)
    span = high - low
    mean = effective_mean(difference_N, -span, span, members)
    if mean is None:
        return Difference(value, n=n, reason=f"too few to bound: {FEW_GROUPS}")
    if tail == 0:
        return require_fixed_number(Difference(value, n=n), tail)
    return Difference(value, *mean.bounds(tail), min(1.0, mean.p_value(0.0) * TAIL / tail), n)


def require_fixed_number(difference: Difference, tail: float, /) -> Difference:
    """Return a difference whose interval holds for a fixed number of samples, without it if the number may follow from the answers.

    ``tail``: `Evidence.tail`.
    """
    if tail >= TAIL:
        return difference
    reason = "an item may end early, and this kind of difference has an interval for a fixed number of samples only"
    return replace(difference, low=None, high=None, p_value=None, reason=reason)


def _compare_unbounded(difference_N: Floats, members: Groups) -> Difference:
    """Return the difference with the interval of an unbounded mean, and the p-value of a t test on the effective size."""
    n, value = len(difference_N), float(difference_N.mean())
    interval = mean_interval(difference_N, None, None, members)
    residuals_N = difference_N - value
    size = members.effective_size(residuals_N, float(np.ptp(difference_N)) ** 2)
    spread = float(np.square(residuals_N).mean())
    p_value = 1.0 if value == 0 else None
    if spread and size and size > 2:
        p_value = 2 * float(stdtr(size - 1, -abs(value) / math.sqrt(spread / (size - 1))))
    return Difference(value, interval.low, interval.high, p_value, n, interval.reason)


def paired_bootstrap(
    metric: Statistic,
    columns: Columns,
    baseline: Columns,
    labels: tuple[str, ...],
    *,
    groups: Sequence[str | None] = (),
    seed: int = 0,
    num_resamples: int | None = None,
) -> dict[str, Difference]:
    """Return the difference of each value of a metric to the ``baseline``; row i of both is the same sample.

    columns, baseline: columns of the two runs. labels: class names. groups: group of each sample, or empty.
    seed: for resampling. num_resamples: default `resamples_for` the number of samples.

    A mean of a score has the interval and p-value of `paired_mean_difference`. For any other value, the intervals of
    both runs are combined (Zou & Donner, Statistics in Medicine 2008), with the correlation of the runs under the same
    resamples; empty if a run has none. The p-value is that of approximate randomisation (Noreen 1989): how often the
    difference is as large if the runs of each sample or group are swapped at random; never below 1 / (R + 1).

    Raises `DataError` if the lengths differ.
    """
    n = num_samples(metric, columns, groups)
    if n != num_samples(metric, baseline, groups):
        raise DataError("the two runs have different numbers of samples; a paired comparison needs the same samples in both")
    if n == 0:
        return {name: Difference(None, reason="no sample could be scored") for name in metric.names(labels)}
    scores, scores_base = metric.per_sample(columns, labels), metric.per_sample(baseline, labels)
    if scores is not None and scores_base is not None and not metric.undefined(columns, labels):
        bounds = join_bounds([scores, scores_base])
        return {metric.name: paired_mean_difference(scores.values_N, scores_base.values_N, *bounds, groups)}
    return _compare_intervals(metric, (columns, baseline), labels, Groups.of(n, groups), seed, num_resamples or resamples_for(n))


def join_bounds(scores: Sequence[Scores]) -> tuple[float | None, float | None]:
    """Return the bounds that hold for the scores of both runs."""
    lows, highs = [s.low for s in scores if s.low is not None], [s.high for s in scores if s.high is not None]
    return min(lows) if len(lows) == len(scores) else None, max(highs) if len(highs) == len(scores) else None


def _compare_intervals(
    metric: Statistic, runs: tuple[Columns, Columns], labels: tuple[str, ...], groups: Groups, seed: int, num_resamples: int
) -> dict[str, Difference]:
    n = groups.num_samples
    values, values_base = (metric.evaluate_columns(run, labels) for run in runs)
    intervals, intervals_base = (metric.intervals(run, labels, groups, seed) for run in runs)
    undefined = metric.undefined(runs[1], labels) | metric.undefined(runs[0], labels)
    after, before = resampled(metric, runs, labels, groups.index_N, seed, num_resamples)
    swapped = swapped_differences(metric, runs, labels, groups.index_N, seed, num_resamples)
    differences = {}
    for name in metric.names(labels):
        if name in undefined:
            differences[name] = Difference(None, n=n, reason=undefined[name])
            continue
        value = values[name] - values_base[name]
        interval = combine_intervals(
            (values[name], values_base[name]),
            (intervals[name], intervals_base[name]),
            _correlate(after[name], before[name], groups.num_equal),
        )
        p_value = _share_as_large(value, swapped[name])
        differences[name] = Difference(value, interval.low, interval.high, p_value, n, interval.reason)
    return differences


def _correlate(after_R: Floats, before_R: Floats, num_groups: float) -> float:
    """Return the correlation of two values over resamples, shrunk towards 0 by `_PHANTOM_GROUPS`; 0 if one is constant."""
    defined_R = np.isfinite(after_R) & np.isfinite(before_R)
    if defined_R.sum() < 2 or min(np.ptp(after_R[defined_R]), np.ptp(before_R[defined_R])) < 1e-12:
        return 0.0
    return float(np.corrcoef(after_R[defined_R], before_R[defined_R])[0, 1]) * num_groups / (num_groups + _PHANTOM_GROUPS)


def swapped_differences(
    metric: Statistic, runs: tuple[Columns, Columns], labels: tuple[str, ...], cluster_N: Ints, seed: int, num_resamples: int
) -> dict[str, Floats]:
    """Return the differences [R] by name if the runs of each cluster are swapped at random."""
    both = {name: np.concatenate([run[name] for run in runs]) for name in metric.needs}
    rng, num_rows, chunks = np.random.default_rng(seed), max(1, CHUNK_BYTES // (32 * len(cluster_N))), []
    for start in range(0, num_resamples, num_rows):
        kept_RG = rng.random((min(num_rows, num_resamples - start), int(cluster_N.max()) + 1)) < 0.5
        kept_RN = kept_RG[:, cluster_N].astype(np.float64)
        first, second = (
            metric.resampled(np.concatenate(pair, axis=1), both, labels) for pair in ((kept_RN, 1 - kept_RN), (1 - kept_RN, kept_RN))
        )
        chunks.append({name: first[name] - second[name] for name in first})
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _share_as_large(value: float, differences_R: Floats) -> float | None:
    """Return the share of differences as large as ``value``, which counts too; None if most are undefined."""
    defined_R = differences_R[np.isfinite(differences_R)]
    if 2 * len(defined_R) <= len(differences_R):
        return None
    return float((np.sum(np.abs(defined_R) >= abs(value) - 1e-12) + 1) / (len(defined_R) + 1))


def holm(p_values: Sequence[float], weights: Sequence[float] = ()) -> list[float]:
    """Return Holm's adjusted p-values (1979), in the same order; reject those below the family-wise error rate alpha.

    weights: share of the error rate of each test, before others are rejected; by default all are equal.

    The p-value that is k-th smallest relative to its weight is multiplied by the sum of the weights from it on, over its
    own (of m equal ones, by m - k + 1), made no smaller than the previous one, and capped at 1.
    """
    shares = list(weights) or [1.0] * len(p_values)
    adjusted, largest = [0.0] * len(p_values), 0.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index] / shares[index])
    for rank, index in enumerate(order):
        left = math.fsum(shares[other] for other in order[rank:])
        largest = max(largest, min(1.0, left / shares[index] * p_values[index]))
        adjusted[index] = largest
    return adjusted
