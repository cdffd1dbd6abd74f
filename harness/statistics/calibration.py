"""The expected calibration error.

Shape legend: N samples, B bins, R draws.
"""

from __future__ import annotations

import numpy as np

from .groups import Groups
from .intervals import TAIL, Floats, Interval, Ints

LEAST_SAMPLES, LEAST_GROUPS = 100, 50
LEAST_OF_A_BIN = 5
_NUM_DRAWS, _NUM_STEPS = 300, 16


def calibration_interval(confidence_N: Floats, right_N: Floats, bin_N: Ints, num_bins: int, groups: Groups, seed: int) -> Interval:
    """The interval of an ECE by its bins, whose plug-in value noise raises: even of a calibrated model it is far from 0.

    Consistency resampling (Bröcker & Smith, Weather and Forecasting 2007), which tests an error of 0, is inverted. For each candidate error
    the gaps of the bins are the observed ones, shrunk towards 0 where they are no larger than noise, or the same everywhere, and scaled so
    that they sum to the candidate; bin sizes and right answers are drawn from those, and the candidate is kept where the observed ECE is
    not extreme among the drawn: for the lower bound by half of what is promised, as the shape of the gaps is a guess. So 0 is in the
    interval unless calibration is rejected. There is none of fewer than `LEAST_SAMPLES` samples, or `LEAST_OF_A_BIN` for each bin, or
    `LEAST_GROUPS` groups.
    """
    n = len(confidence_N)
    gap_N = right_N - confidence_N
    num_groups, size = len(groups.sizes_G), groups.effective_size(gap_N - gap_N.mean(), 1.0)
    least = max(LEAST_SAMPLES, LEAST_OF_A_BIN * num_bins)
    if n < least or num_groups < LEAST_GROUPS or size is None:
        what = f"{n} samples" if n < least else f"{num_groups} groups"
        return Interval.none(f"{what}; a calibration error by {num_bins} bins takes at least {least}, and {LEAST_GROUPS} groups")
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
    seen_B = gaps_B / sizes_B * np.minimum(1.0, np.abs(gaps_B) / noise_B)
    # An error that is the same in all bins hides in the noise best.
    even_B = np.where(gaps_B >= 0, 1.0, -1.0)
    errors = np.linspace(0, 1, _NUM_STEPS) ** 1.5 * min(1.0, 2 * observed + 4 / np.sqrt(num))
    drawn_RB = rng.multinomial(num, sizes_B / n, size=_NUM_DRAWS)
    least, most = np.full(_NUM_STEPS, np.inf), np.zeros(_NUM_STEPS)
    for shape_B in (seen_B, even_B):
        total = float(np.abs(shape_B) @ sizes_B) / n
        if total < 1e-12:
            continue
        for step, error in enumerate(errors):
            right_RB = rng.binomial(drawn_RB, np.clip(mean_B + shape_B / total * error, 0, 1))
            seen_R = np.abs(right_RB - mean_B * drawn_RB).sum(axis=1) / num
            low, high = np.quantile(seen_R, [TAIL, 1 - TAIL / 2])
            least[step], most[step] = min(least[step], low), max(most[step], high)
    # Both grow with the error, but for the noise of the draws.
    least, most = np.maximum.accumulate(least), np.maximum.accumulate(most)
    low = 0.0 if observed <= most[0] else float(np.interp(observed, most, errors))
    high = float(errors[-1]) if observed >= least[-1] else float(np.interp(observed, least, errors))
    return low, max(high, low)
