"""Differences of two means of different samples.

Shape legend: N samples.
"""

from __future__ import annotations

import math

import numpy as np

from .groups import Groups
from .intervals import Floats, Interval, Mask
from .means import bounded_mean

_PHANTOMS = 4.0
"""Number of phantom samples that shrink the correlation of the two means towards 0."""


def difference_interval(values_N: Floats, is_first_N: Mask, low: float, high: float, groups: Groups) -> Interval:
    """Return the interval of the mean of the first samples minus the mean of the others.

    values_N: float [N], between ``low`` and ``high``. is_first_N: bool [N].

    The intervals of both means are combined by the distances of their bounds from the means (Newcombe, Statistics in
    Medicine 1998, method 10, for independent and paired rates; Zou & Donner 2008 for any means). Groups with samples of
    both parts correlate the means; the correlation is shrunk by phantom samples.
    """
    parts = [is_first_N, ~is_first_N]
    means = [float(values_N[part_N].mean()) for part_N in parts]
    first, second = (bounded_mean(values_N[part_N], low, high, groups.among(part_N)) for part_N in parts)
    shared = 0.0
    if not groups.are_single:
        sums = [groups.sums(np.where(part_N, values_N - mean, 0.0)) for part_N, mean in zip(parts, means, strict=True)]
        phantom = _PHANTOMS * (high - low) ** 2
        shared = float(sums[0] @ sums[1]) / math.sqrt((float(sums[0] @ sums[0]) + phantom) * (float(sums[1] @ sums[1]) + phantom))
    interval = combine_intervals((means[0], means[1]), (first, second), shared)
    span = high - low
    return interval.within(-span, span)


def combine_intervals(values: tuple[float, float], intervals: tuple[Interval, Interval], correlation: float) -> Interval:
    """Return the interval of the first value minus the second, from the distances of the bounds from the values.

    Empty if one of the intervals is.
    """
    first, second = intervals
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return first if first.low is None else second
    # An interval need not contain its value: noise raises an ECE.
    down, up = (values[0] - first.low, second.high - values[1]), (first.high - values[0], values[1] - second.low)
    below, above = (math.sqrt(max(a * a - 2 * correlation * a * b + b * b, 0.0)) for a, b in (down, up))
    value = values[0] - values[1]
    return Interval(value - below, value + above)
