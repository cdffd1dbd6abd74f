"""Compute scores from the values of attributions alone: the similarity of two, and the complexity of one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .scored_attribution import Floats, count_parts

TOP_SHARE = 0.2


def mean_ranks(values: Floats, /) -> Floats:
    """Return the ranks of values, from 0. Equal values have the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends: NDArray[np.int64] = counts.cumsum()
    ranks: Floats = (ends - (counts + 1) / 2)[place]
    return ranks


def rank_correlation(first: Floats, second: Floats, /) -> float | None:
    """Return Spearman's rho of two arrays [P]; None if all values of either are equal."""
    a, b = (ranks - ranks.mean() for ranks in (mean_ranks(first), mean_ranks(second)))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(np.clip(a @ b / size, -1, 1)) if size else None


def compute_top_overlap(first: Floats, second: Floats, /) -> float:
    """Return the fraction of the parts in the top fifth of one attribution that are in that of the other as well.

    This is feature agreement (Krishna et al. 2022). first, second: values [P] of the attributions.
    """
    num = count_parts(TOP_SHARE, first.size)
    tops = (set(np.argsort(-values, kind="stable")[:num].tolist()) for values in (first, second))
    return len(set.intersection(*tops)) / num


def compute_complexity(values: Floats, /) -> dict[str, float | None]:
    """Return the complexity of an attribution, and the effective number of its parts.

    values: the attribution, [P].

    ``complexity`` is the entropy, in nats, of the parts' fractions of the sum of absolute values (Bhatt et al. 2020,
    definition 4). ``effective_parts`` is its exponential, the number of equal parts with the same entropy. Both are
    None if all values are 0.
    """
    sizes = np.abs(values)
    total = float(sizes.sum())
    if not total:
        return {"complexity": None, "effective_parts": None}
    shares = sizes[sizes > 0] / total
    entropy = max(0.0, -float(shares @ np.log(shares)))
    return {"complexity": entropy, "effective_parts": float(np.exp(entropy))}
