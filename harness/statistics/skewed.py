"""Intervals of means of scores without a lower or upper bound: losses, squared errors, ratios of lengths.

No interval of such a mean has the promised coverage for every distribution, because unseen values can have any size
(Bahadur & Savage, Annals of Mathematical Statistics 1956). A computable bound is used if there is one. Otherwise the
unseen tail is estimated from the largest values; for few values there is no interval.

Shape legend: N samples, K of them the largest.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit

from .groups import Groups
from .intervals import TAIL, Floats, Interval, Z
from .means import Side, bounded_mean

LEAST_SAMPLES, LEAST_CONTRIBUTORS = 50, 8


def mean_interval(values_N: Floats, low: float | None, high: float | None, groups: Groups | None = None) -> Interval:
    """Return the interval of the mean of values between ``low`` and ``high`` (None: no bound).

    On a side with a bound, it is Gaffke's (`means.Side`). On a side without, it is the wider of Hall's (On the removal
    of skewness by transformation, JRSS B 1992) and Gaffke's with a ceiling above the largest value by Hill's tail index
    (Annals of Statistics 1975). There is no interval for fewer than `LEAST_SAMPLES` values or groups, or if fewer than
    `LEAST_CONTRIBUTORS` values make up most of the sum.

    values_N: float [N].
    """
    if low is not None and high is not None:
        return bounded_mean(values_N, low, high, groups)
    values_N = np.asarray(values_N, dtype=np.float64)
    if not np.isfinite(values_N).all():
        return Interval.none("a value is not finite")
    groups = Groups.of(len(values_N)) if groups is None else groups
    residuals_N = values_N - values_N.mean()
    size = groups.effective_size(residuals_N, float(np.ptp(values_N)) ** 2)
    if size is None or len(groups.sizes_G) < LEAST_SAMPLES:
        what = f"{len(values_N):,} values" if groups.are_single else f"values of {len(groups.sizes_G):,} groups"
        return Interval.none(f"{what} of a score without bounds; at least {LEAST_SAMPLES} are needed")
    least, most = float(values_N.min()), float(values_N.max())
    if least == most:
        return Interval.none("all values of a score without bounds are the same")
    bounds = []
    for sign, bound in ((-1, low), (1, high)):
        if bound is None and (num := _count_contributors(sign * values_N)) < LEAST_CONTRIBUTORS:
            return Interval.none(
                f"about {num:,.0f} of {len(values_N):,} values make up most of their sum, so unseen values could change it"
            )
        bounds.append(sign * _bound_above(sign * values_N, None if bound is None else sign * bound, size, groups.are_single))
    return Interval(bounds[0], bounds[1])


def _bound_above(values_N: Floats, ceiling: float | None, size: float, is_single: bool) -> float:
    end = _guess_ceiling(values_N) if ceiling is None else max(ceiling, float(values_N.max()))
    span = end - float(values_N.min())
    bound = end - span * Side.of((end - values_N) / span, size).bound(TAIL)
    if ceiling is not None:
        return bound
    return max(bound, _bound_by_hall(values_N, size, float(stdtrit(len(values_N) - 1, 1 - TAIL)) if is_single else Z))


def _count_contributors(values_N: Floats) -> float:
    """Return the effective number of contributing values, above the smallest: (sum x)² / sum x²."""
    above_N = values_N - values_N.min()
    return float(above_N.sum()) ** 2 / float(np.square(above_N).sum())


def _guess_ceiling(values_N: Floats) -> float:
    """Return a ceiling above the largest value: that value times e to Hill's index of the tail above the median.

    The index is taken at the upper end of its own interval; index / sqrt(K) is its standard error.
    """
    above_N = values_N - np.median(values_N)
    num = min(50, max(3, len(values_N) // 10))
    largest_K = np.partition(above_N, -num - 1)[-num - 1 :]
    largest_K.sort()
    if largest_K[0] <= 0:
        largest_K = largest_K[largest_K > 0]
    index = float(np.log(largest_K[1:] / largest_K[0]).mean()) if len(largest_K) > 1 else 1.0
    index *= 1 + Z / math.sqrt(max(1, len(largest_K) - 1))
    return float(values_N.max()) + float(above_N.max()) * (math.exp(min(index, 3.0)) - 1)


def _bound_by_hall(values_N: Floats, size: float, quantile: float) -> float:
    """Return Hall's upper bound: a t statistic whose skewness is removed by a cubic transformation, inverted."""
    deviations_N = values_N - values_N.mean()
    spread = float(deviations_N.std(ddof=1))
    skewness, root = float(np.mean((deviations_N / spread) ** 3)), math.sqrt(size)
    if abs(skewness) < 1e-6:
        return float(values_N.mean()) + spread / root * quantile
    inner = 1 + skewness / root * (-quantile - skewness / (6 * root))
    return float(values_N.mean()) - spread / root * 3 / skewness * root * (math.cbrt(inner) - 1)
