"""The expected calibration error.

Shape legend: N samples, B bins, R draws.
"""

from __future__ import annotations

import numpy as np

from .groups import Groups
from .intervals import TAIL, Floats, Interval, Ints

LEAST_SAMPLES, LEAST_GROUPS = 100, 50
_NUM_DRAWS, _NUM_STEPS = 400, 40
_TAIL = TAIL / 2
"""Half of what is promised: the shape of the gaps is not known but guessed from the sample."""


def calibration_interval(confidence_N: Floats, right_N: Floats, bin_N: Ints, num_bins: int, groups: Groups, seed: int) -> Interval:
    """The interval of an ECE by its bins, whose plug-in value noise raises: even of a calibrated model it is far from 0.

    Consistency resampling (Bröcker & Smith, Weather and Forecasting 2007), which tests an error of 0, is inverted. For each candidate error
    the gaps of the bins are the observed ones, shrunk towards 0 where they are no larger than noise and scaled so that they sum to the
    candidate; bin sizes and right answers are drawn from those, and the candidate is kept where the observed ECE is not extreme among the
    drawn. So 0 is in the interval unless calibration is rejected. There is none of fewer than
    `LEAST_SAMPLES` samples or `LEAST_GROUPS` groups.
    """
    n = len(confidence_N)
    gap_N = right_N - confidence_N
    num_groups, size = len(groups.sizes_G), groups.effective_size(gap_N - gap_N.mean(), 1.0)
    if n < LEAST_SAMPLES or num_groups < LEAST_GROUPS or size is None:
        what = f"{n} samples" if n < LEAST_SAMPLES else f"{num_groups} groups"
        return Interval.none(f"{what}; a calibration error takes at least {LEAST_SAMPLES}, and {LEAST_GROUPS} groups")
    bins = np.stack([np.bincount(bin_N, weights=weights_N, minlength=num_bins) for weights_N in (np.ones(n), confidence_N, gap_N)])
    bins = bins[:, bins[0] > 0]
    # Noise both raises the error that is seen and spreads it; alike members of groups do only the latter.
    sizes_B, sums_B, gaps_B = bins
    found = [_inverted(sizes_B, sums_B, gaps_B, num, np.random.default_rng(seed)) for num in dict.fromkeys((n, int(size)))]
    return Interval(min(low for low, _ in found), max(high for _, high in found))


def _inverted(sizes_B: Floats, sums_B: Floats, gaps_B: Floats, num: int, rng: np.random.Generator) -> tuple[float, float]:
    """The errors under which the observed one is not extreme among those of ``num`` samples drawn."""
    n = float(sizes_B.sum())
    observed = float(np.abs(gaps_B).sum()) / n
    mean_B = sums_B / sizes_B
    noise_B = np.sqrt(np.maximum(mean_B * (1 - mean_B) * sizes_B * n / num, 1e-12))
    shape_B = gaps_B / sizes_B * np.minimum(1.0, np.abs(gaps_B) / noise_B)
    total = float(np.abs(shape_B) @ sizes_B) / n
    if total < 1e-12:
        shape_B, total = np.where(mean_B > 0.5, -1.0, 1.0), 1.0
    errors = np.linspace(0, 1, _NUM_STEPS) ** 1.5 * min(1.0, 2 * observed + 4 / np.sqrt(num))
    drawn_RB = rng.multinomial(num, sizes_B / n, size=_NUM_DRAWS)
    least, most = np.empty(_NUM_STEPS), np.empty(_NUM_STEPS)
    for step, error in enumerate(errors):
        right_RB = rng.binomial(drawn_RB, np.clip(mean_B + shape_B / total * error, 0, 1))
        seen_R = np.abs(right_RB - mean_B * drawn_RB).sum(axis=1) / num
        least[step], most[step] = np.quantile(seen_R, [_TAIL, 1 - _TAIL])
    # Both grow with the error, but for the noise of the draws.
    least, most = np.maximum.accumulate(least), np.maximum.accumulate(most)
    low = 0.0 if observed <= most[0] else float(np.interp(observed, most, errors))
    high = float(errors[-1]) if observed >= least[-1] else float(np.interp(observed, least, errors))
    return low, max(high, low)
