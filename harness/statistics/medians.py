"""Intervals of medians.

Shape legend: N samples.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc

from .groups import Groups
from .intervals import TAIL, Floats, Interval
from .means import FEW_GROUPS


def median_interval(values_N: Floats, groups: Groups | None = None) -> Interval:
    """Return the interval of a median, between two order statistics, for any distribution.

    The number of values below the median is binomial. No interval for fewer than 6 values. Samples in groups count by
    their effective size (Woodruff, JASA 1952).

    values_N: float [N]. Source: Thompson, Annals of Mathematical Statistics 1936.
    """
    values_N = np.asarray(values_N, dtype=np.float64)
    groups = Groups.of(len(values_N)) if groups is None else groups
    size = groups.effective_size(np.where(values_N <= np.median(values_N), 0.5, -0.5), 0.25)
    if size is None:
        return Interval.none(FEW_GROUPS)
    below_N = np.arange(len(values_N)) / len(values_N) * size
    # The largest number of values that are below the median with a probability of at most `TAIL`.
    num = int(np.sum(betainc(size - below_N, below_N + 1, 0.5) <= TAIL))
    if num == 0:
        return Interval.none(f"a median of {len(values_N):,} samples, equivalent to {size:,.0f} independent ones")
    ordered_N = np.sort(values_N)
    return Interval(float(ordered_N[num - 1]), float(ordered_N[-num]))
