"""Rates, and means of scores that have bounds.

Shape legend: N samples.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, betaincinv

from ..errors import DataError
from .groups import MIN_GROUPS, Groups
from .intervals import TAIL, Floats, Interval

FEW_GROUPS = f"the samples are of fewer than {MIN_GROUPS} groups, which do not show how much groups differ"


def rate(successes: float, n: float, tail: float = TAIL) -> tuple[float, float]:
    """The interval of a rate of Clopper & Pearson (Biometrika 1934): exact, so that on either side at most a share ``tail`` of samples
    misses the truth, whatever it is. ``n`` may be an effective size.

    Raises `DataError` unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n <= 0:
        raise DataError(f"a rate is of some samples: {successes:g} successes of {n:g} are none")
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    return low, 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))


def bounded_mean(values_N: Floats, low: float, high: float, groups: Groups | None = None) -> Interval:
    """The interval of the mean of values that lie between ``low`` and ``high``; of zeros and ones that of Clopper & Pearson (`rate`).

    Whose samples share groups, as many independent ones are counted as they are worth. No result is bounded better than a perfect one on
    the same groups. Raises `DataError` where a value is out of bounds.
    """
    found = effective_mean(values_N, low, high, groups)
    return Interval.none(FEW_GROUPS) if found is None else Interval(*found.bounds(TAIL))


def effective_mean(values_N: Floats, low: float, high: float, groups: Groups | None) -> Gaffke | None:
    """What bounds the mean; None where there are too few groups. Raises `DataError` where a value is out of bounds."""
    values_N = _within(values_N, low, high)
    groups = Groups.of(len(values_N)) if groups is None else groups
    mean = float(values_N.mean())
    size = groups.effective_size(values_N - mean, (high - low) ** 2)
    # Of a perfect result only the phantoms speak.
    perfect = groups.effective_size(np.zeros(len(values_N)), (high - low) ** 2)
    return None if size is None or perfect is None else Gaffke.of(values_N, low, high, size, perfect)


def _within(values_N: Floats, low: float, high: float) -> Floats:
    values_N = np.asarray(values_N, dtype=np.float64)
    slack = 1e-6 * (high - low)
    if len(values_N) and not (values_N.min() >= low - slack and values_N.max() <= high + slack):
        raise DataError(
            f"the score lies between {low:g} and {high:g}, but values from {values_N.min():.6g} to {values_N.max():.6g} were given; "
            "a metric of other scores says so by its 'low' and 'high'"
        )
    return np.clip(values_N, low, high)


def effective_rate(value: float, smoothed: float, variance: float, low: float, high: float) -> tuple[float, float]:
    """The interval of a number between ``low`` and ``high`` with this ``variance``: that of a rate of as many trials as have it (after
    Korn & Graubard 1998). ``smoothed``: the value that the variance belongs to, not at an end of the scale."""
    span = high - low
    share = min(1 - 1e-9, max(1e-9, (smoothed - low) / span))
    trials = share * (1 - share) * span**2 / max(variance, 1e-18)
    bounds = rate(min(1.0, max(0.0, (value - low) / span)) * trials, trials)
    return low + span * bounds[0], low + span * bounds[1]


class Gaffke:
    """Gaffke's bound of a mean (Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable, 2005;
    studied by Learned-Miller & Thomas, A new confidence interval for the mean of a bounded random variable, 2019, arXiv:1905.06208).

    The bound is a quantile of the mean of the sample and one value more, at the end of the scale, under random weights (uniform on the
    simplex). That mean is taken to be distributed as the beta variable with its range, mean and variance; of zeros and ones it is one, and
    the bounds are those of Clopper & Pearson. It takes one pass over the sample and no random draws.
    """

    def __init__(self, low: float, high: float, mean: float, square: float, least: float, most: float, size: float, perfect: float) -> None:
        self.low, self.high, self.mean, self.square = low, high, mean, square
        self.least, self.most, self.size, self.perfect = least, most, size, perfect

    @classmethod
    def of(cls, values_N: Floats, low: float, high: float, size: float, perfect: float) -> Gaffke:
        """``size``: how many independent samples the values are worth; ``perfect``: how many, were they all equal."""
        span = (high - low) or 1.0
        scaled_N = (values_N - low) / span
        # A sum of equal values is rounded, their mean must not be.
        least, most = float(scaled_N.min()), float(scaled_N.max())
        mean = min(most, max(least, float(scaled_N.mean())))
        return cls(low, high, mean, float(np.square(scaled_N).mean()), least, most, size, perfect)

    def bounds(self, tail: float) -> tuple[float, float]:
        """The lower and the upper bound, each wrong with a probability of at most ``tail``."""
        # A perfect result's lower bound, and the upper bound of the opposite: none is bounded better.
        best, worst = rate(self.perfect, self.perfect, tail)[0], rate(0.0, self.perfect, tail)[1]
        low, high = min(self._quantile(0.0, tail), best), max(self._quantile(1.0, 1 - tail), worst)
        span = self.high - self.low
        return self.low + span * low, self.low + span * high

    def upper(self, tail: float) -> float:
        """The upper bound alone."""
        return self.low + (self.high - self.low) * self._quantile(1.0, 1 - tail)

    def p_value(self, mean: float) -> float:
        """Two-sided, of the hypothesis that this is the mean: twice the smallest tail whose bound excludes it."""
        at = (mean - self.low) / ((self.high - self.low) or 1.0)
        return min(1.0, 2 * min(self._cumulative(0.0, at), 1 - self._cumulative(1.0, at)))

    def _beta(self, end: float) -> tuple[float, float, float, float] | None:
        """Both ends and both shapes of the beta variable; None where it is a constant."""
        start, stop = (self.least, 1.0) if end else (0.0, self.most)
        if stop <= start:
            return None
        n = self.size
        # Moments about the end that is added, where they are sums of positive terms.
        first = n / (n + 1) * abs(end - self.mean)
        second = n / (n + 1) * max(self.square - 2 * end * self.mean + end, (end - self.mean) ** 2)
        variance = max(second - first**2, 0.0) / (n + 2)
        length = stop - start
        share = first / length
        if not 0 < share < 1 or variance <= 0:
            return None
        concentration = max(share * (1 - share) / (variance / length**2) - 1, 1e-9)
        near, far = share * concentration, (1 - share) * concentration
        return (start, stop, far, near) if end else (start, stop, near, far)

    def _quantile(self, end: float, share: float) -> float:
        found = self._beta(end)
        if found is None:
            return end
        start, stop, first, second = found
        return start + (stop - start) * float(betaincinv(first, second, share))

    def _cumulative(self, end: float, at: float) -> float:
        found = self._beta(end)
        if found is None:
            return float(at >= end)
        start, stop, first, second = found
        return float(betainc(first, second, min(1.0, max(0.0, (at - start) / (stop - start)))))
