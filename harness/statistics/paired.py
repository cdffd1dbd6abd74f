"""The difference of a number between two runs, from the evidence of both.

Shape legend: N samples that both runs have scored.
"""

from __future__ import annotations

import math

import numpy as np

from .comparisons import Difference, join_bounds, mcnemar, paired_bootstrap, paired_mean_difference
from .differences import combine_intervals
from .evidence import Evidence, pair_evidence
from .geometric import GeometricMean, compare_geometric_means
from .groups import Groups
from .intervals import Floats, Interval, Mask, Z
from .means import rate

LEAST_WILSON = 30
"""With fewer samples, Wilson's interval is too short for Newcombe's."""


def compare_evidence(candidate: Evidence, baseline: Evidence, /, *, num_resamples: int | None = None) -> Difference:
    """Return the candidate's number minus the baseline's, on the samples that both have scored.

    Rates have McNemar's exact p-value and Newcombe's interval (`compare_rates`); rates and means of samples in groups
    those of `paired_mean_difference`; geometric means those of `compare_geometric_means`; all other numbers those of
    `paired_bootstrap` with ``num_resamples``.
    """
    if candidate.labels != baseline.labels:
        return Difference(None, reason="the two runs have different classes")
    pair = pair_evidence(candidate, baseline)
    first, second = pair
    n = len(first.ids_N)
    if n == 0:
        return Difference(None, reason="no sample is scored in both runs")
    if isinstance(first.statistic, GeometricMean):
        if first.name != second.name:
            return Difference(None, reason=f"the two runs have different clocks: {first.name} and {second.name}")
        return compare_geometric_means(first.columns[first.name], second.columns[first.name])
    scores = [each.statistic.per_sample(each.columns, each.labels) for each in pair]
    given = [score for score in scores if score is not None]
    if len(given) < len(pair) or any(each.statistic.undefined(each.columns, each.labels) for each in pair):
        differences = paired_bootstrap(
            first.statistic, first.columns, second.columns, first.labels, groups=first.groups, seed=first.seed, num_resamples=num_resamples
        )
        return differences[first.name]
    values, values_base = (score.values_N for score in given)
    bounds = join_bounds(given)
    if bounds == (0, 1) and _is_binary(values) and _is_binary(values_base) and Groups.of(n, first.groups).are_single:
        return compare_rates(values == 1, values_base == 1)
    return paired_mean_difference(values, values_base, *bounds, first.groups)


def _is_binary(values_N: Floats) -> bool:
    return bool(np.isin(values_N, (0, 1)).all())


def compare_rates(first_N: Mask, second_N: Mask, /) -> Difference:
    """Return the first rate minus the second, with McNemar's exact p-value and Newcombe's interval.

    ``first_N``, ``second_N``: bool [N], at least one sample; position i of both is the same sample.

    With fewer than `LEAST_WILSON` samples, it is made of the Clopper-Pearson intervals of both rates, because with Wilson's it covers
    only 87 to 91 % of some pairs of models. It covers at least 92 %, and at least 94 % of 99 in 100 pairs (all outcomes of 6 to
    50 samples, 800 pairs). Source: Newcombe, Improved confidence intervals for the difference between binomial
    proportions based on paired data, Statistics in Medicine 1998, method 10.
    """
    n, test = len(first_N), mcnemar(first_N, second_N)
    num_both = int(np.sum(first_N & second_N))
    num_neither = n - num_both - test.num_only_a - test.num_only_b
    rates = float(first_N.mean()), float(second_N.mean())
    phi = _correlate(num_both, test.num_only_a, test.num_only_b, num_neither)
    bounds = [_wilson(value, n) if n >= LEAST_WILSON else Interval(*rate(value * n, n)) for value in rates]
    interval = combine_intervals(rates, (bounds[0], bounds[1]), phi)
    # From the counts: the difference of two rounded rates may differ from 0 for equal rates.
    return Difference((test.num_only_a - test.num_only_b) / n, interval.low, interval.high, test.p_value, n)


def _wilson(value: float, n: int) -> Interval:
    """Return Wilson's score interval of a rate (JASA 1927)."""
    middle, half = value + Z * Z / (2 * n), Z * math.sqrt((value * (1 - value) + Z * Z / (4 * n)) / n)
    return Interval((middle - half) / (1 + Z * Z / n), (middle + half) / (1 + Z * Z / n))


def _correlate(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Return the phi coefficient of two outcomes, with Newcombe's continuity correction if it is positive."""
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    excess = both * neither - only_first * only_second
    half = (both + only_first + only_second + neither) / 2
    return (max(excess - half, 0.0) if excess > 0 else excess) / math.sqrt(margins)
