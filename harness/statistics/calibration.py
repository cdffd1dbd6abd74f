"""Intervals of the expected calibration error.

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
    """Return the interval of an ECE.

    The plug-in value is biased upwards by noise, even for a calibrated model. The interval inverts consistency
    resampling (Bröcker & Smith, Weather and Forecasting 2007), a test that the error is 0. For each candidate error, the
    gaps of the bins are either the observed ones, shrunk towards 0 if no larger than noise, or equal; they are scaled to
    sum to the candidate. Bin sizes and correct predictions are drawn accordingly, and the candidate is accepted if the
    observed ECE is not extreme among the draws; for the lower bound at half of the level, because the shape of the gaps
    is a guess. So 0 is in the interval unless calibration is rejected.

    There is no interval for fewer than `LEAST_SAMPLES` samples, `LEAST_OF_A_BIN` per bin, or `LEAST_GROUPS` groups.

    confidence_N: float [N]. right_N: 1 for a correct prediction, else 0, float [N]. bin_N: index of the bin, int [N].
    """
    n = len(confidence_N)
    gap_N = right_N - confidence_N
    num_groups, size = len(groups.sizes_G), groups.effective_size(gap_N - gap_N.mean(), 1.0)
    least = max(LEAST_SAMPLES, LEAST_OF_A_BIN * num_bins)
    if n < least or num_groups < LEAST_GROUPS or size is None:
        what = f"{n:,} samples" if n < least else f"{num_groups:,} groups"
        return Interval.none(f"{what}; a calibration error by {num_bins} bins takes at least {least}, and {LEAST_GROUPS} groups")
    bins = np.stack([np.bincount(bin_N, weights=weights_N, minlength=num_bins) for weights_N in (np.ones(n), confidence_N, gap_N)])
    bins = bins[:, bins[0] > 0]
    # Noise both raises and spreads the observed error; correlation within groups only spreads it.
    sizes_B, sums_B, gaps_B = bins
    found = [_invert(sizes_B, sums_B, gaps_B, num, np.random.default_rng(seed)) for num in dict.fromkeys((n, int(size)))]
    return Interval(min(low for low, _ in found), max(high for _, high in found))


def _invert(sizes_B: Floats, sums_B: Floats, gaps_B: Floats, num: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the range of true errors for which the observed error is not extreme among draws of ``num`` samples."""
    n = float(sizes_B.sum())
    observed = float(np.abs(gaps_B).sum()) / n
    mean_B = sums_B / sizes_B
    noise_B = np.sqrt(np.maximum(mean_B * (1 - mean_B) * sizes_B * n / num, 1e-12))
    seen_B = gaps_B / sizes_B * np.minimum(1.0, np.abs(gaps_B) / noise_B)
    # Equal gaps in all bins are the hardest to tell from noise.
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
    # Both increase with the error, except for the noise of the draws.
    least, most = np.maximum.accumulate(least), np.maximum.accumulate(most)
    low = 0.0 if observed <= most[0] else float(np.interp(observed, most, errors))
    high = float(errors[-1]) if observed >= least[-1] else float(np.interp(observed, least, errors))
    return low, max(high, low)
