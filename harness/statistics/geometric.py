"""Geometric means of positive numbers that were measured one after the other, such as the times of chunks.

Shape legend: K measurements in their order, B blocks of neighbouring measurements.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from scipy.special import stdtr, stdtrit

from .comparisons import Difference
from .groups import Groups
from .intervals import TAIL, Floats, Interval
from .statistic import Columns

TOLERANCE = 1.25
"""The ratio of the means of two equal runs that is not yet a change: the speed of a machine differs from run to run."""

LEAST = 4
"""With fewer measurements, their spread is practically unknown."""

_MOST_BLOCKS = 8
_SPREAD_PRIOR = 0.02
"""A standard deviation of logarithms that is always added: a few times may agree by chance."""

_HOW = f"by pairs of chunks; a change counts beyond a factor of {TOLERANCE:g}"


class GeometricMean:
    """Geometric mean of one column of positive numbers, which are in the order in which they were measured."""

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]]

    def names(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return (self.name,)

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        return {}

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        return {self.name: math.exp(float(np.log(columns[self.name]).mean()))}

    def per_sample(self, columns: Columns, labels: tuple[str, ...]) -> None:
        return None

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        return {self.name: np.exp(weights_RN @ np.log(columns[self.name]) / weights_RN.sum(axis=1))}

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        logs_K = np.log(columns[self.name])
        if len(logs_K) < LEAST:
            return {self.name: Interval.none(_describe_few(len(logs_K)))}
        half = _measure_half(logs_K)
        middle = float(logs_K.mean())
        return {self.name: Interval(math.exp(middle - half), math.exp(middle + half))}


def geometric_mean(column: str, /) -> GeometricMean:
    """Build the statistic of the geometric mean of a column."""
    made: GeometricMean = type("GeometricMean", (GeometricMean,), {"name": column, "needs": frozenset({column})})()
    return made


def compare_geometric_means(first_K: Floats, second_K: Floats, /) -> Difference:
    """Return the first geometric mean minus the second.

    ``first_K``, ``second_K``: float [K], positive; measurement i of both is about the same work.

    The interval is that of the mean log ratio by Student's t, over at most 8 blocks of neighbouring pairs, because a busy
    machine slows down several chunks in a row (batch means: Conway, Management Science 1963). It says how the ratio
    varies within the two runs. What it cannot show is how the speed of the machine differs from one run to the next: the
    p-value is therefore twice that of the one-sided test that the ratio is beyond `TOLERANCE`.
    """
    ratios_K = np.log(first_K / second_K)
    start, mean, num = math.exp(float(np.log(second_K).mean())), float(ratios_K.mean()), len(ratios_K)
    value = start * math.expm1(mean)
    if num < LEAST:
        return Difference(value, n=num, reason=f"too few to bound: {_describe_few(num)}")
    half = _measure_half(ratios_K)
    num_blocks = min(num, _MOST_BLOCKS)
    beyond = max(abs(mean) - math.log(TOLERANCE), 0.0) / half * float(stdtrit(num_blocks - 1, 1 - TAIL))
    p_value = min(1.0, 2 * float(stdtr(num_blocks - 1, -beyond))) if beyond else 1.0
    return Difference(value, start * math.expm1(mean - half), start * math.expm1(mean + half), p_value, num, _HOW)


def _measure_half(values_K: Floats) -> float:
    """Return half of the length of the 95 % interval of a mean, by Student's t over blocks."""
    means_B = np.array([part_K.mean() for part_K in np.array_split(values_K, min(len(values_K), _MOST_BLOCKS))])
    spread = math.hypot(float(means_B.std(ddof=1)), _SPREAD_PRIOR)
    return float(stdtrit(len(means_B) - 1, 1 - TAIL)) * spread / math.sqrt(len(means_B))


def _describe_few(num: int) -> str:
    return f"{num:,} chunks, at least {LEAST} are needed; set a smaller 'chunk' in the suite"
