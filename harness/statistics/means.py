"""Intervals of rates, and of means of bounded scores.

Shape legend: N samples, G groups, T samples with less and less lost.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np
from scipy.special import betainc, betaincinv

from ..api.errors import DataError
from .groups import MIN_GROUPS, Groups, effective_sizes
from .intervals import TAIL, Floats, Interval, Ints

FEW_GROUPS = f"the samples are from fewer than {MIN_GROUPS} groups, which do not show how much groups differ"
_MOST_STEPS, _MOST_CELLS = 128, 2**16
_TINY = 1e-300


def rate(successes: float, n: float, tail: float = TAIL) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a rate (Biometrika 1934).

    It is exact: each bound is wrong with a probability of at most ``tail``. ``n`` may be an effective size.

    Raises `DataError` unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n <= 0:
        raise DataError(f"a rate needs 0 <= successes <= n and n > 0, not {successes:g} successes of {n:g}")
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    return low, 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))


def bounded_mean(values_N: Floats, low: float, high: float, groups: Groups | None = None) -> Interval:
    """Return the interval of the mean of values between ``low`` and ``high``; for zeros and ones, Clopper-Pearson (`rate`).

    Samples in groups count by their effective size. A worse result never has a higher lower bound than a better one
    with the same groups (`Side.of_groups`). Raises `DataError` if a value is out of bounds.
    """
    mean = effective_mean(values_N, low, high, groups)
    return Interval.none(FEW_GROUPS) if mean is None else Interval(*mean.bounds(TAIL))


def effective_mean(values_N: Floats, low: float, high: float, groups: Groups | None) -> Bounded | None:
    """Return the bounds of the mean; None for too few groups. Raises `DataError` if a value is out of bounds."""
    values_N = _clip(values_N, low, high)
    groups = Groups.of(len(values_N)) if groups is None else groups
    if len(groups.sizes_G) < min(MIN_GROUPS, len(values_N)):
        return None
    span = (high - low) or 1.0
    return Bounded(low, high, Side.of_groups((values_N - low) / span, groups), Side.of_groups((high - values_N) / span, groups))


def _clip(values_N: Floats, low: float, high: float) -> Floats:
    values_N = np.asarray(values_N, dtype=np.float64)
    slack = 1e-6 * (high - low)
    if len(values_N) and not (values_N.min() >= low - slack and values_N.max() <= high + slack):
        raise DataError(
            f"the scores must be between {low:g} and {high:g}, but are from {values_N.min():.6g} to {values_N.max():.6g}; "
            "set 'low' and 'high' of the metric"
        )
    return np.clip(values_N, low, high)


def effective_rate(value: float, smoothed: float, variance: float, low: float, high: float) -> tuple[float, float]:
    """Return the interval of a value between ``low`` and ``high`` from its variance.

    It is that of a rate with the number of trials that gives this variance (after Korn & Graubard 1998).

    smoothed: value at which the variance was computed, not at an end of the scale.
    """
    span = high - low
    share = min(1 - 1e-9, max(1e-9, (smoothed - low) / span))
    trials = share * (1 - share) * span**2 / max(variance, 1e-18)
    bounds = rate(min(1.0, max(0.0, (value - low) / span)) * trials, trials)
    return low + span * bounds[0], low + span * bounds[1]


@dataclass(frozen=True, slots=True)
class Bounded:
    """The bounds of a mean of values between ``low`` and ``high``.

    above_low, below_high: lower bounds of its distances from these.
    """

    low: float
    high: float
    above_low: Side
    below_high: Side

    def bounds(self, tail: float) -> tuple[float, float]:
        """Return the lower and the upper bound, each wrong with a probability of at most ``tail``."""
        span = self.high - self.low
        return self.low + span * self.above_low.bound(tail), self.high - span * self.below_high.bound(tail)

    def p_value(self, mean: float) -> float:
        """Return the two-sided p-value of a true mean: twice the smallest tail whose bound excludes it."""
        at = (mean - self.low) / ((self.high - self.low) or 1.0)
        return min(1.0, 2 * min(self.above_low.tail(at), self.below_high.tail(1 - at)))


@dataclass(frozen=True, slots=True)
class Side:
    """Gaffke's lower bound of the mean of values between 0 and 1; the smallest bound of T samples.

    The bound is a quantile of the mean of the values and one additional 0 under random weights, uniform on the simplex.
    That mean is approximated by the beta distribution with its range, mean and variance. For zeros and ones this is
    exact, and the bound is that of Clopper & Pearson. Computing it takes one pass over the values and no random draws.

    mean_T: means. square_T: mean squares. most_T: largest values. size_T: effective sizes.

    Source: Gaffke, Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable,
    2005; Learned-Miller & Thomas, A new confidence interval for the mean of a bounded random variable, 2019,
    arXiv:1905.06208.
    """

    mean_T: Floats
    square_T: Floats
    most_T: Floats
    size_T: Floats

    @classmethod
    def of(cls, values_N: Floats, size: float) -> Side:
        """Build the bound of one sample with an effective size."""
        most = float(values_N.max())
        # The sum of equal values may be rounded; their mean must equal the value.
        mean = min(most, max(float(values_N.min()), float(values_N.mean())))
        return cls(*map(np.atleast_1d, (mean, float(np.square(values_N).mean()), most, size)))

    @classmethod
    def of_groups(cls, values_N: Floats, groups: Groups) -> Side:
        """Build the bound of a sample and of better ones, which keep only part of its losses, in the worst groups first.

        So an additional error cannot raise the bound by making groups more similar.
        """
        n, lost_N = float(len(values_N)), 1 - values_N
        own, perfect = cls.of(values_N, n), cls.of(np.ones(1), n)
        if groups.are_single:
            return cls(*(np.concatenate(parts) for parts in zip(astuple(own), astuple(perfect), strict=True)))
        lost_G, squares_G, sizes_G = groups.sums(lost_N), groups.sums(lost_N**2), groups.sizes_G.astype(np.float64)
        total_T = _list_totals(float(lost_G.sum()), n, min(_MOST_STEPS, max(8, _MOST_CELLS // len(lost_G))))
        mean_T = total_T / n
        # The contribution of a group to the variance between groups is at most proportional to its kept losses.
        slope_TG = lost_G - 2 * mean_T[:, None] * sizes_G
        kept_TG = _fill_groups(total_T, lost_G, np.argsort(-slope_TG, axis=1))
        spread_T = (kept_TG * slope_TG) @ lost_G + mean_T**2 * float(sizes_G @ sizes_G)
        size_T = effective_sizes(np.maximum(spread_T, 0.0), np.maximum(kept_TG @ squares_G - n * mean_T**2, 0.0), groups.sizes_G, 1.0)
        # Sums of positive terms, to avoid cancellation.
        better_T = total_T[-1] - total_T
        square_T = own.square_T + (1 - kept_TG) @ (2 * lost_G - squares_G) / n
        most_T = np.where(better_T > 0, 1.0, own.most_T)
        return cls(np.minimum(own.mean_T + better_T / n, most_T), square_T, most_T, size_T)

    def bound(self, tail: float) -> float:
        """Return the lower bound, wrong with a probability of at most ``tail``."""
        near_T, far_T = self._compute_shapes()
        if not near_T.all():
            return 0.0
        least = float(self.most_T[-1] * betaincinv(near_T[-1], far_T[-1], tail))
        # Checking which bounds are lower takes a tenth of the time of computing them.
        lower_T = betainc(near_T, far_T, np.minimum(least / self.most_T, 1.0)) > tail
        return float(np.min(self.most_T[lower_T] * betaincinv(near_T[lower_T], far_T[lower_T], tail), initial=least))

    def tail(self, at: float) -> float:
        """Return the smallest tail whose bound is above ``at``."""
        near_T, far_T = self._compute_shapes()
        place_T = np.clip(at / np.maximum(self.most_T, _TINY), 0.0, 1.0)
        return float(np.max(np.where(near_T > 0, betainc(np.maximum(near_T, _TINY), far_T, place_T), float(at >= 0))))

    def _compute_shapes(self) -> tuple[Floats, Floats]:
        """Return the shape parameters of the beta variables on 0 to ``most_T``; the first is 0 if all values are 0."""
        size_T = self.size_T
        first_T = size_T / (size_T + 1) * self.mean_T
        second_T = size_T / (size_T + 1) * np.maximum(self.square_T, self.mean_T**2)
        variance_T = np.maximum(second_T - first_T**2, 0.0) / (size_T + 2)
        most_T = np.maximum(self.most_T, _TINY)
        share_T = first_T / most_T
        concentration_T = np.maximum(share_T * (1 - share_T) * most_T**2 / np.maximum(variance_T, _TINY) - 1, 1e-9)
        is_zero_T = (self.mean_T <= 0) | (variance_T <= 0)
        return np.where(is_zero_T, 0.0, share_T * concentration_T), np.where(is_zero_T, 1.0, (1 - share_T) * concentration_T)


def _list_totals(total: float, n: float, most: int) -> Floats:
    """Return losses from 0 to ``total``, in steps of one error or less, or of a share of the samples."""
    step = 1 / math.ceil(most / n) if n <= most else n / most
    return np.append(np.arange(math.ceil(total / step - 1e-9)) * step, total)


def _fill_groups(total_T: Floats, lost_G: Floats, order_TG: Ints) -> Floats:
    """Return the share of its losses that each group keeps if groups are filled in order up to a total; float [T, G]."""
    ordered_TG = lost_G[order_TG]
    before_TG = np.cumsum(ordered_TG, axis=1) - ordered_TG
    left_TG = np.maximum(total_T[:, None] - before_TG, 0.0)
    kept_TG = np.empty_like(ordered_TG)
    shares_TG = np.where(left_TG >= ordered_TG * (1 - 1e-12), 1.0, left_TG / np.maximum(ordered_TG, _TINY))
    np.put_along_axis(kept_TG, order_TG, shares_TG, axis=1)
    kept_TG[-1] = 1.0
    return kept_TG
