"""What is said of attributions from their values alone: how alike two of them are, and over how many parts one is spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .scored_attribution import Floats, num_of

TOP_SHARE = 0.2


def mean_ranks(values: Floats, /) -> Floats:
    """Ranks from 0, equal values sharing the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends: NDArray[np.int64] = counts.cumsum()
    ranks: Floats = (ends - (counts + 1) / 2)[place]
    return ranks


def rank_correlation(first: Floats, second: Floats, /) -> float | None:
    """Spearman's rho. None where one of them gives all parts the same value."""
    a, b = (ranks - ranks.mean() for ranks in (mean_ranks(first), mean_ranks(second)))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(np.clip(a @ b / size, -1, 1)) if size else None


def top_overlap(first: Floats, second: Floats, /) -> float:
    """Which share of the parts that one ranks among its top fifth the other does too (feature agreement, Krishna et al. 2022)."""
    num = num_of(TOP_SHARE, first.size)
    tops = (set(np.argsort(-values, kind="stable")[:num].tolist()) for values in (first, second))
    return len(set.intersection(*tops)) / num


def complexity(values: Floats, /) -> dict[str, float | None]:
    """The entropy, in nats, of the parts' shares of the absolute sum (Bhatt et al. 2020, definition 4), and its exponential: over how many
    equal parts the attribution would be spread to have it. None where all values are 0."""
    sizes = np.abs(values)
    total = float(sizes.sum())
    if not total:
        return {"complexity": None, "effective_parts": None}
    shares = sizes[sizes > 0] / total
    entropy = max(0.0, -float(shares @ np.log(shares)))
    return {"complexity": entropy, "effective_parts": float(np.exp(entropy))}
