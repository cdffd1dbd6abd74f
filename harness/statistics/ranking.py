"""Intervals of the area under the ROC curve, and of its mean over classes.

Shape legend: N samples, K classes, P positives, M negatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import stdtrit

from .groups import Groups
from .intervals import TAIL, Floats, Interval, Mask, Z
from .means import FEW_GROUPS, effective_mean, rate

LEAST_OF_A_CLASS = 10


def area_interval(classes: Sequence[tuple[Mask, Floats]], groups: Groups) -> Interval:
    """Return the interval of the mean area over classes.

    classes: for each class, which samples are positive, bool [N], and the scores, float [N].

    The result is the hull of two intervals. The first is Newcombe's method 5 (Statistics in Medicine 2006), with Hanley
    & McNeil's variance at each tested area. The second is that of a rate with as many trials as give DeLong's variance
    (Biometrics 1988), shrunk towards Newcombe's, with the degrees of freedom of the rarer class. The errors of several
    classes are as correlated as DeLong's placements, shrunk towards equal errors. For a single class, the hull includes
    the bounds of the mean placement of the rarer kind. There is no interval with fewer than `LEAST_OF_A_CLASS` positives
    or negatives.
    """
    num_positive_K = np.array([positive_N.sum() for positive_N, _ in classes], dtype=np.float64)
    num_negative_K = len(classes[0][0]) - num_positive_K
    rarest = int(min(num_positive_K.min(), num_negative_K.min()))
    if rarest < LEAST_OF_A_CLASS:
        return Interval.none(f"a class has {rarest:,} samples or all but so many; at least {LEAST_OF_A_CLASS} of either kind are needed")
    areas, errors_N = zip(*(_place_samples(positive_N, score_N) for positive_N, score_N in classes), strict=True)
    area, error_N = float(np.mean(areas)), np.mean(errors_N, axis=0)
    n = len(error_N)
    size = groups.effective_size(error_N, float(np.mean(1 / num_positive_K + 1 / num_negative_K)) / n)
    if size is None:
        return Interval.none(FEW_GROUPS)
    worth = size / n
    variance, together = float(np.square(error_N).sum()), float(np.sqrt(np.square(errors_N).sum(axis=1)).mean()) ** 2
    wrong = min(area, 1 - area) * rarest
    # The variance of the mean area, relative to that with equal errors: 1 for one class, and shrunk towards 1.
    share = (wrong * variance / together + 1) / (wrong + 1) if together > 0 else 1.0
    quantile = float(stdtrit(rarest * worth - 1, 1 - TAIL)) if rarest * worth > 2 else float(stdtrit(1, 1 - TAIL))

    def expected(value: float) -> float:
        """Return Hanley & McNeil's variance as in Newcombe; for several classes, ``share`` of that of equal errors."""
        spread = (num_positive_K + num_negative_K) / 2 - 1
        each_K = 1 + spread * (1 - value) / (2 - value) + spread * value / (1 + value)
        deviation_K = np.sqrt(value * (1 - value) / (num_positive_K * num_negative_K) * each_K)
        return share * float(np.mean(deviation_K)) ** 2 / worth

    low, high = _invert(area, expected, quantile)
    trials = _count_trials(area, variance / worth, wrong, rarest, expected) * (Z / quantile) ** 2
    bounds = rate(area * trials, trials)
    spread = [_bound_placements(*classes[0], groups)] if len(classes) == 1 else []
    return Interval(min(low, bounds[0], *(b[0] for b in spread)), max(high, bounds[1], *(b[1] for b in spread)))


def _bound_placements(positive_N: Mask, score_N: Floats, groups: Groups) -> tuple[float, float]:
    """Return bounds of the area as the mean of the placements of the rarer class, as if the other class were known exactly.

    No variance shows samples with wrong labels while none of them is drawn; the bounds of a mean in [0, 1] allow for them.
    """
    rarer_N = positive_N if positive_N.mean() <= 0.5 else ~positive_N
    mean = effective_mean(_find_placements(positive_N, score_N)[rarer_N], 0.0, 1.0, groups.among(rarer_N))
    return (1.0, 0.0) if mean is None else mean.bounds(TAIL)


def _find_placements(positive_N: Mask, score_N: Floats) -> Floats:
    """Return DeLong's placement of each sample, [N]: the share of samples of the other kind with a worse score, ties as half."""
    # Not on top: scipy.stats takes longer than all else that a report without areas imports.
    from scipy.stats import rankdata

    num_positive = int(positive_N.sum())
    rank_N = rankdata(score_N)
    placement_N = np.empty(len(score_N))
    placement_N[positive_N] = (rank_N[positive_N] - rankdata(score_N[positive_N])) / (len(positive_N) - num_positive)
    placement_N[~positive_N] = 1 - (rank_N[~positive_N] - rankdata(score_N[~positive_N])) / num_positive
    return np.clip(placement_N, 0.0, 1.0)


def _place_samples(positive_N: Mask, score_N: Floats) -> tuple[float, Floats]:
    """Return the area, and the error of each sample, [N]: its placement's difference to the area, in units of the area's variance."""
    num_positive = int(positive_N.sum())
    num_negative = len(positive_N) - num_positive
    placement_N = _find_placements(positive_N, score_N)
    area = float(placement_N[positive_N].mean())
    sizes_N = np.where(positive_N, num_positive, num_negative)
    return area, (placement_N - area) / np.sqrt(sizes_N * (sizes_N - 1.0))


def _count_trials(area: float, variance: float, wrong: float, rarest: int, expected: Callable[[float], float]) -> float:
    """Return the number of trials of a rate with the variance of the area.

    It is a weighted mean of the number by the observed variance, with ``wrong``, the number of misplaced samples of the
    rarer class, as weight, and the number by the expected variance, with weight 1.
    """
    smooth = (area * rarest + 1) / (rarest + 2)
    by_seen = variance / (area * (1 - area)) if 0 < area < 1 else 0.0
    return (wrong + 1) / (wrong * by_seen + expected(smooth) / (smooth * (1 - smooth)))


def _invert(area: float, expected: Callable[[float], float], quantile: float) -> tuple[float, float]:
    """Return the smallest and largest true area within ``quantile`` standard deviations of ``area``, by bisection."""
    ends = []
    for end in (0.0, 1.0):
        kept, lost = area, end
        for _ in range(50):
            middle = (kept + lost) / 2
            if abs(area - middle) <= quantile * math.sqrt(max(expected(middle), 0.0)):
                kept = middle
            else:
                lost = middle
        ends.append(end if abs(kept - end) < 1e-9 else kept)
    return ends[0], ends[1]
