"""The bootstrap, for two runs with the same resamples, and for metrics without an interval method of their own.

Shape legend: N samples, R resamples, G groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.special import ndtr, stdtrit

from .groups import Groups
from .intervals import TAIL, Floats, Interval, Ints
from .statistic import Columns, Statistic

CHUNK_BYTES = 8 * 2**20
"""Size of a chunk of weights. A metric holds up to about 8 arrays of this size, so a bootstrap uses about 64 MiB."""
LEAST_GROUPS = 50


def bootstrap_intervals(
    metric: Statistic, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int, num_resamples: int | None = None
) -> Mapping[str, Interval]:
    """Return expanded percentile intervals of a metric's values, from whole groups drawn with replacement.

    Empty for fewer than `LEAST_GROUPS` groups, or an equivalent number of unequal groups.
    """
    if groups.num_equal < LEAST_GROUPS:
        why = Interval.none(f"{int(groups.num_equal):,} independent samples for a bootstrap; at least {LEAST_GROUPS} are needed")
        return dict.fromkeys(metric.names(labels), why)
    (values,) = resampled(metric, [columns], labels, groups.index_N, seed, num_resamples or resamples_for(groups.num_samples))
    tail = _expand_tail(groups)
    return {name: percentiles(values_R, tail) for name, values_R in values.items()}


def _expand_tail(groups: Groups) -> float:
    """Return the tail that corrects percentile intervals, which are too narrow compared to a t interval.

    Unequal groups count as the equivalent number of equal groups. Source: Hesterberg, What Teachers Should Know About
    the Bootstrap, American Statistician 2015.
    """
    num = groups.num_equal
    return float(ndtr(-math.sqrt(num / (num - 1)) * stdtrit(num - 1, 1 - TAIL)))


def bootstrap_weights(n: int, groups: Sequence[str | None], num_resamples: int, rng: np.random.Generator) -> Floats:
    """Return how often each of n samples is drawn in each resample, float [R, N] (Efron 1979).

    groups: name of each sample's group, or None, or empty. Groups are drawn with replacement, as many as there are, and
        each sample has the count of its group (cluster bootstrap; Davison & Hinkley 1997, 3.8). A sample without a group
        is a group of its own.
    """
    return _draw_weights(Groups.of(n, groups).index_N, num_resamples, rng)


def _draw_weights(cluster_N: Ints, num_resamples: int, rng: np.random.Generator) -> Floats:
    num_clusters = _count_clusters(cluster_N)
    drawn_RG = rng.integers(num_clusters, size=(num_resamples, num_clusters))
    drawn_RG += np.arange(num_resamples)[:, None] * num_clusters
    counts_RG = np.bincount(drawn_RG.ravel(), minlength=drawn_RG.size).reshape(drawn_RG.shape).astype(np.float64)
    return counts_RG if num_clusters == len(cluster_N) else counts_RG[:, cluster_N]


def _count_clusters(cluster_N: Ints) -> int:
    return int(cluster_N.max(initial=-1)) + 1


def resampled(
    metric: Statistic,
    runs: Sequence[Columns],
    labels: tuple[str, ...],
    cluster_N: Ints,
    seed: int,
    num_resamples: int,
) -> list[dict[str, Floats]]:
    """Return the metric's values [R] for each run, by name, with the same resamples for all runs."""
    num_rows = max(1, CHUNK_BYTES // (8 * max(len(cluster_N), len(labels))))
    chunks: list[list[dict[str, Floats]]] = [[] for _ in runs]
    for weights_RN in _weight_chunks(cluster_N, num_resamples, num_rows, np.random.default_rng(seed)):
        for run, columns in enumerate(runs):
            chunks[run].append(metric.resampled(weights_RN, columns, labels))
    return [{name: np.concatenate([part[name] for part in parts]) for name in parts[0]} for parts in chunks]


def _weight_chunks(cluster_N: Ints, num_resamples: int, num_rows: int, rng: np.random.Generator) -> Iterator[Floats]:
    for start in range(0, num_resamples, num_rows):
        yield _draw_weights(cluster_N, min(num_rows, num_resamples - start), rng)


def resamples_for(n: int) -> int:
    """Return the number of resamples for n samples: 1,000, or fewer to stay below 10^8 draws, but at least 200.

    With 200 resamples, a bound of a 95 % interval is off by about a twentieth of the interval's width, which is
    negligible for half a million samples.
    """
    return min(1000, max(200, 10**8 // n))


def percentiles(values_R: Floats, tail: float) -> Interval:
    """Return the interval between the ``tail`` and 1 - ``tail`` quantiles of the defined values, or why there is none."""
    defined = values_R[np.isfinite(values_R)]
    if 2 * len(defined) <= len(values_R):
        return Interval.none("undefined in half of the resamples or more")
    if np.ptp(defined) <= 1e-12 * max(1.0, float(np.abs(defined).max())):
        return Interval.none("all resamples give the same value")
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high))
