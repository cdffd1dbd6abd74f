"""Intervals for one run. Every random draw comes from a seed or generator that the caller gives.

- A rate (the mean of a score in [0, 1]): Wilson's interval.
- Anything else, or samples that share a group: the percentile bootstrap over samples, or over whole groups.

Shape legend: N samples, R resamples, G groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..scorecard import Estimate

if TYPE_CHECKING:  # `evaluate` imports torch
    from ..metrics.base import Columns, Metric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
_NO_SPREAD = "no interval: all resamples give the same value, which bounds nothing"
CHUNK_BYTES = 8 * 2**20
"""Weights made at once. A metric holds up to about 8 arrays of that size while it works, so that a bootstrap stays near 64 MiB."""


# ── one run ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def wilson(successes: float, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval (1927) of a rate: those p that a z test on ``successes`` of ``n`` does not reject.

    Unlike p ± z·SE it stays in [0, 1] and has a width at 0 and 1. ``successes`` need not be whole (partial credit).
    Raises `DataError` unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n <= 0:
        raise DataError(f"Wilson's interval is for a rate: {successes:g} successes of {n} are none")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (successes + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(successes * (n - successes) / n + z**2 / 4)
    # At 0 and n the bound is exactly 0 and 1; rounding leaves 1e-17 beside it.
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == n else centre + half)


def bootstrap_weights(n: int, groups: Sequence[str | None], num_resamples: int, rng: np.random.Generator) -> Floats:
    """How often each of n samples is drawn in each resample (Efron 1979), float [R, N].

    ``groups``: a name or None for each sample, or empty. Groups are drawn, with replacement, as many as there are, and each sample has its
    group's count (cluster bootstrap; Davison & Hinkley 1997, 3.8). A sample without a group is a group of its own.
    """
    return _weights(_clusters(n, groups), num_resamples, rng)


def _weights(cluster_N: Ints, num_resamples: int, rng: np.random.Generator) -> Floats:
    num_clusters = _num_clusters(cluster_N)
    drawn_RG = rng.integers(num_clusters, size=(num_resamples, num_clusters))
    drawn_RG += np.arange(num_resamples)[:, None] * num_clusters
    counts_RG = np.bincount(drawn_RG.ravel(), minlength=drawn_RG.size).reshape(drawn_RG.shape).astype(np.float64)
    return counts_RG if num_clusters == len(cluster_N) else counts_RG[:, cluster_N]


def estimate(
    metric: Metric,
    columns: Columns,
    labels: tuple[str, ...],
    *,
    groups: Sequence[str | None] = (),
    n_unscored: int = 0,
    seed: int = 0,
    num_resamples: int | None = None,
) -> dict[str, Estimate]:
    """Each number of a metric with its 95 % interval, by name. ``columns`` hold the scored samples, ``groups`` their groups.
    ``num_resamples``: by default `resamples_for` as many samples.

    Where all resamples give the same value (a perfect F1), no spread is no evidence of certainty: the bounds are then those of
    `_added_bounds`, for a metric that knows its `extremes`. A clustered rate of 0 or 1 takes Wilson's interval over the clusters.
    The bounds are None, and the reason says why, where there are none to be had: resamples without spread of another metric, or half of
    them or more undefined.
    Raises `DataError` where a column is missing or the lengths differ.
    """
    n = _num_samples(metric, columns, groups)
    if n == 0:
        return {name: Estimate(None, n_unscored=n_unscored, reason="no sample could be scored") for name in metric.names(labels)}
    cluster_N = _clusters(n, groups)
    num_clusters = _num_clusters(cluster_N)

    def is_rated(value: float) -> bool:
        return metric.interval == "wilson" and (num_clusters == n or value in (0.0, 1.0))

    values = metric.evaluate_columns(columns, labels)
    resampled: dict[str, Floats] = {}
    if not all(map(is_rated, values.values())):
        (resampled,) = _bootstrap(metric, [columns], labels, cluster_N, seed, num_resamples or resamples_for(n))
    estimates = {name: Estimate(None, n=n, n_unscored=n_unscored, reason=why) for name, why in metric.undefined(columns, labels).items()}
    added: dict[str, Floats] | None = None
    for name, value in values.items():
        if is_rated(value):
            estimates[name] = Estimate(value, *wilson(value * num_clusters, num_clusters), n, n_unscored)
            continue
        low, high, reason = _percentiles(resampled[name], value)
        if reason == _NO_SPREAD:
            added = metric.with_added(columns, labels, _Z**2 * n / num_clusters) if added is None else added
            low, high, reason = _added_bounds(added.get(name), value)
        estimates[name] = Estimate(value, low, high, n, n_unscored, reason)
    return {name: estimates[name] for name in metric.names(labels)}


def _added_bounds(added_M: Floats | None, value: float) -> tuple[float | None, float | None, str]:
    """Least and largest value with z² samples more, all of one kind, for each kind that a sample can be of; whole groups, where there are.

    Wilson's bounds of a rate at 0 and 1 are just that: of n right answers, n / (n + z²). By it the recall or precision of one class has
    Wilson's interval over its denominator, its F1 the one that Wilson's gives TP / (TP + FP + FN) (the indirect method of Lam, Gopal & Qian
    2023, arXiv:2309.14621), and a mean over classes the loss that as many errors in its rarest classes make.
    """
    defined = np.array([]) if added_M is None else added_M[np.isfinite(added_M)]
    low, high = min(value, *defined.tolist(), value), max(value, *defined.tolist(), value)
    return (low, high, "") if low < high else (None, None, _NO_SPREAD)


def resamples_for(n: int) -> int:
    """1,000, but of many samples no more than 10^8 draws buy, and never fewer than 200: with those a bound of a 95 % interval is off by
    about a twentieth of the interval's width, which on half a million samples is next to nothing."""
    return min(1000, max(200, 10**8 // n))


def samples_to_decide(estimate: Estimate, threshold: float) -> int | None:
    """About how many samples, in all, would make the interval exclude the threshold if the value stayed the same.

    The interval's side that faces the threshold is taken to shrink as 1 / sqrt(n), which for Wilson's is good to a third. At most
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


# ── resampling ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _num_samples(metric: Metric, columns: Columns, groups: Sequence[str | None]) -> int:
    missing = sorted(metric.needs - columns.keys())
    if missing:
        raise DataError(f"the metric {metric.name!r} needs the column {missing[0]!r}; there are {', '.join(sorted(columns)) or 'none'}")
    lengths = {name: len(columns[name]) for name in sorted(metric.needs)} | ({"groups": len(groups)} if groups else {})
    if len(set(lengths.values())) > 1:
        raise DataError(f"the columns have different lengths: {', '.join(f'{name} {length}' for name, length in lengths.items())}")
    return next(iter(lengths.values()))


def _clusters(n: int, groups: Sequence[str | None]) -> Ints:
    """Index of each sample's cluster, int [N], counted in order of first appearance: 0, 1, ..., n - 1 where no two share a group."""
    if not groups:
        return np.arange(n)
    if len(groups) != n:
        raise DataError(f"there are {len(groups)} groups for {n} samples")
    index_of: dict[Any, int] = {}
    # A sample without a group goes by its number, which is no group's name.
    keys = (index if group is None else group for index, group in enumerate(groups))
    return np.fromiter((index_of.setdefault(key, len(index_of)) for key in keys), dtype=np.int64, count=n)


def _num_clusters(cluster_N: Ints) -> int:
    return int(cluster_N.max(initial=-1)) + 1


def _bootstrap(
    metric: Metric,
    runs: Sequence[Columns],
    labels: tuple[str, ...],
    cluster_N: Ints,
    seed: int,
    num_resamples: int,
) -> list[dict[str, Floats]]:
    """The metric's numbers [R] for each run, all runs under the same resamples, a chunk of resamples at a time."""
    num_rows = max(1, CHUNK_BYTES // (8 * max(len(cluster_N), len(labels))))
    chunks: list[list[dict[str, Floats]]] = [[] for _ in runs]
    for weights_RN in _weight_chunks(cluster_N, num_resamples, num_rows, np.random.default_rng(seed)):
        for run, columns in enumerate(runs):
            chunks[run].append(metric.resampled(weights_RN, columns, labels))
    return [{name: np.concatenate([part[name] for part in parts]) for name in parts[0]} for parts in chunks]


def _weight_chunks(cluster_N: Ints, num_resamples: int, num_rows: int, rng: np.random.Generator) -> Iterator[Floats]:
    for start in range(0, num_resamples, num_rows):
        yield _weights(cluster_N, min(num_rows, num_resamples - start), rng)


def _percentiles(values_R: Floats, value: float) -> tuple[float | None, float | None, str]:
    """The 2.5 and 97.5 % percentiles of the defined values, or the reason why they bound nothing.

    Resampling adds noise, so that a statistic that noise raises (the ECE of a calibrated model) may lie below nearly all its resamples:
    the interval is widened to hold the value.
    """
    defined = values_R[np.isfinite(values_R)]
    if 2 * len(defined) <= len(values_R):
        return None, None, "no interval: undefined in half of the resamples or more"
    if np.ptp(defined) <= 1e-12 * max(1.0, float(np.abs(defined).max())):
        return None, None, _NO_SPREAD
    low, high = np.percentile(defined, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return min(float(low), value), max(float(high), value), ""
