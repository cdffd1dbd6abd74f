"""Medians.

Shape legend: N samples.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc

from .groups import Groups
from .intervals import TAIL, Floats, Interval
from .means import FEW_GROUPS


def median_interval(values_N: Floats, groups: Groups | None = None) -> Interval:
    """The interval of a median between two of the values, whatever their distribution: how many values lie below the median is binomial
    (Thompson, Annals of Mathematical Statistics 1936). There is none of fewer than 6 values.

    Whose samples share groups, as many independent ones are counted as they are worth (Woodruff, JASA 1952).
    """
    values_N = np.asarray(values_N, dtype=np.float64)
    groups = Groups.of(len(values_N)) if groups is None else groups
    size = groups.effective_size(np.where(values_N <= np.median(values_N), 0.5, -0.5), 0.25)
    if size is None:
        return Interval.none(FEW_GROUPS)
    below_N = np.arange(len(values_N)) / len(values_N) * size
    # So many values at most lie below the median in at most a share `TAIL` of all samples.
    num = int(np.sum(betainc(size - below_N, below_N + 1, 0.5) <= TAIL))
    if num == 0:
        return Interval.none(f"a median of {len(values_N)} samples, worth {size:.0f} independent ones")
    ordered_N = np.sort(values_N)
    return Interval(float(ordered_N[num - 1]), float(ordered_N[-num]))
