"""Whether a candidate is slower: the seconds of both sides, chunk by chunk.

Chunks of two runs hold the same samples, so that they are pairs. What the chunks of one run cannot show is how much the
speed of a machine differs from one run to the next. A change therefore counts only beyond a tolerance.

Shape legend: K chunks.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtr, stdtrit

from ...api.comparison import RowChange
from ...api.item_key import ItemKey
from ...api.scorecard import Estimate, Row
from ...statistics.intervals import TAIL
from .sides import Side

TOLERANCE = 1.25
"""The ratio of times between two equal runs that is not yet a change: machines differ from run to run."""

LEAST_CHUNKS = 4
"""With fewer pairs of chunks, their spread is practically unknown."""

SPREAD_PRIOR = 0.02
"""A standard deviation of log ratios that is always added: a few times may agree by chance."""

_HOW = f"by pairs of chunks; a change counts beyond a factor of {TOLERANCE:g}"


def compare_seconds(baseline: Side, candidate: Side, key: ItemKey, /) -> RowChange | None:
    """Compare the seconds per sample of an item; None if one side has no times.

    The values are geometric means over chunks. The interval is that of the mean log ratio, by Student's t. The p-value
    is twice that of the one-sided test that the ratio is beyond `TOLERANCE`.
    """
    seconds_K, before_K = candidate.seconds.get(key), baseline.seconds.get(key)
    if not seconds_K or not before_K or min(*seconds_K, *before_K) <= 0:
        return None
    after, start = (math.exp(float(np.log(times_K).mean())) for times_K in (seconds_K, before_K))
    own_key, num = ItemKey.from_json(candidate.items[key]["key"]), len(seconds_K)
    row = Row(candidate.model, own_key, "seconds_per_sample", "efficiency", Estimate(after, n=num), False, "s")
    before = Estimate(start, n=len(before_K))
    if num != len(before_K) or candidate.items[key]["num_samples"] != baseline.items[key]["num_samples"]:
        return RowChange(row, before, Estimate(after - start, reason="the chunks of the two runs hold different samples"))
    if num < LEAST_CHUNKS:
        reason = f"too few to bound: {num} chunks, at least {LEAST_CHUNKS} are needed; set a smaller 'chunk' in the suite"
        return RowChange(row, before, Estimate(after - start, n=num, reason=reason))
    ratio_K = np.log(np.array(seconds_K) / np.array(before_K))
    mean, error = float(ratio_K.mean()), math.hypot(float(ratio_K.std(ddof=1)), SPREAD_PRIOR) / math.sqrt(num)
    half = float(stdtrit(num - 1, 1 - TAIL)) * error
    low, high = (start * math.expm1(bound) for bound in (mean - half, mean + half))
    beyond = max(abs(mean) - math.log(TOLERANCE), 0.0) / error
    p_value = min(1.0, 2 * float(stdtr(num - 1, -beyond))) if beyond else 1.0
    return RowChange(row, before, Estimate(after - start, low, high, num, reason=_HOW), p_value)
