"""The difference of two means of different samples.

Shape legend: N samples.
"""

from __future__ import annotations

import math

import numpy as np

from .groups import Groups
from .intervals import Floats, Interval, Mask
from .means import bounded_mean

_PHANTOMS = 4.0
"""Samples by which what both means share is shrunk towards nothing."""


def difference_interval(values_N: Floats, is_first_N: Mask, low: float, high: float, groups: Groups) -> Interval:
    """The interval of the mean of some samples minus that of the others, of values between ``low`` and ``high``.

    Both means' intervals are put together by the distances of their bounds from the means (Newcombe's methods 10, Statistics in Medicine
    1998, for independent and for paired rates; Zou & Donner 2008 for any means). What the two share by groups that have samples of both, is
    their correlation, shrunk by phantom samples.
    """
    parts = [is_first_N, ~is_first_N]
    means = [float(values_N[part_N].mean()) for part_N in parts]
    first, second = (bounded_mean(values_N[part_N], low, high, groups.among(part_N)) for part_N in parts)
    shared = 0.0
    if not groups.are_single:
        sums = [groups.sums(np.where(part_N, values_N - mean, 0.0)) for part_N, mean in zip(parts, means, strict=True)]
        phantom = _PHANTOMS * (high - low) ** 2
        shared = float(sums[0] @ sums[1]) / math.sqrt((float(sums[0] @ sums[0]) + phantom) * (float(sums[1] @ sums[1]) + phantom))
    found = together((means[0], means[1]), (first, second), shared)
    span = high - low
    return found.within(-span, span)


def together(values: tuple[float, float], intervals: tuple[Interval, Interval], correlation: float) -> Interval:
    """The interval of the first value minus the second, by the distances of the bounds from the values; none where one has none."""
    first, second = intervals
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return first if first.low is None else second
    # An interval need not hold its value (an ECE, which noise raises).
    down, up = (values[0] - first.low, second.high - values[1]), (first.high - values[0], values[1] - second.low)
    below, above = (math.sqrt(max(a * a - 2 * correlation * a * b + b * b, 0.0)) for a, b in (down, up))
    value = values[0] - values[1]
    return Interval(value - below, value + above)
