"""Intervals that hold at a few looks that are fixed before the run, so that it may stop at one of them.

They are shorter than those that hold after every sample (`sequential`), because a run is looked at only then.

Shape legend: K looks, G points of a grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.special import ndtr, ndtri

from .groups import Groups
from .intervals import TAIL, Floats, Interval
from .means import FEW_GROUPS, effective_mean

_LOWEST, _NUM_POINTS = -8.0, 801
_LARGEST_Z = 8.0


def list_looks(num_samples: int, num_looks: int, /) -> list[int]:
    """Return the numbers of samples at which a run is looked at, equally spaced; the last is ``num_samples``."""
    return sorted({math.ceil(num_samples * look / num_looks) for look in range(1, num_looks + 1)})


@cache
def find_tails(num_looks: int, /) -> tuple[float, ...]:
    """Return, for each of K equally spaced looks, the probability with which a bound at this look alone may miss.

    The probability that one of the K bounds of a side misses is then 2.5 %. It is spent as by O'Brien & Fleming: hardly anything at first.
    The boundaries follow from the joint normal distribution of the looks, by recursive integration.

    Source: Lan & DeMets, Discrete sequential boundaries for clinical trials, Biometrika 1983 (the first spending function); Armitage,
    McPherson & Rowe, Repeated significance tests on accumulating data, JRSS A 1969. Intervals at such boundaries: Jennison & Turnbull,
    Interim analyses: the repeated confidence interval approach, JRSS B 1989.
    """
    from scipy.optimize import brentq  # not on top: scipy.optimize takes long to import, and few suites look before the end

    share_K = np.arange(1, num_looks + 1) / num_looks
    # The probability of having crossed by a look: 2 (1 - Phi(z / sqrt(t))), which is TAIL at the end.
    spent_K = 2 * ndtr(ndtri(TAIL / 2) / np.sqrt(share_K))
    tails, step = [float(spent_K[0])], math.sqrt(1 / num_looks)
    edge = -float(ndtri(spent_K[0])) * step
    points_G = np.linspace(_LOWEST * step, edge, _NUM_POINTS)
    density_G = np.exp(-0.5 * (points_G / step) ** 2) / (step * math.sqrt(2 * math.pi))
    for look in range(1, num_looks):
        mass_G = density_G * _weigh(points_G)
        wanted, root = float(spent_K[look] - spent_K[look - 1]), math.sqrt(share_K[look])

        def cross(z: float, mass_G: Floats = mass_G, points_G: Floats = points_G, wanted: float = wanted, root: float = root) -> float:
            return float(mass_G @ ndtr((points_G - z * root) / step)) - wanted

        z = float(brentq(cross, 0.0, _LARGEST_Z))
        tails.append(float(ndtr(-z)))
        next_G = np.linspace(_LOWEST * root, z * root, _NUM_POINTS)
        density_G = np.exp(-0.5 * ((next_G[:, None] - points_G) / step) ** 2) @ mass_G / (step * math.sqrt(2 * math.pi))
        points_G = next_G
    return tuple(tails)


def _weigh(points_G: Floats) -> Floats:
    """Return the weights of Simpson's rule on equally spaced points, an odd number of them; float [G]."""
    weights_G = np.full(len(points_G), 2.0)
    weights_G[1::2] = 4.0
    weights_G[[0, -1]] = 1.0
    weighted_G: Floats = weights_G * (points_G[1] - points_G[0]) / 3
    return weighted_G


def mean_at_look(values: Floats, low: float, high: float, tail: float, groups: Sequence[str | None] = ()) -> Interval:
    """Return the interval of a mean at a look; for zeros and ones, that of Clopper & Pearson.

    values: independent scores between ``low`` and ``high``, float [N]. tail: that of the look (`find_tails`).
    groups: the group of each sample, or empty.
    """
    if not len(values):
        return Interval.none("no sample could be scored")
    mean = effective_mean(values, low, high, Groups.of(len(values), groups))
    return Interval.none(FEW_GROUPS) if mean is None else Interval(*mean.bounds(tail))
