"""Differences of two runs from the evidence of both."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, multinomial
from windtunnel.harness.metrics.classification import F1Macro
from windtunnel.harness.metrics.scores import column_mean
from windtunnel.harness.statistics import (
    Evidence,
    compare_evidence,
    compare_rates,
    mcnemar,
    paired_bootstrap,
    paired_mean_difference,
)
from windtunnel.harness.statistics.fixed_looks import find_tails
from windtunnel.harness.statistics.intervals import TAIL, Floats, Mask
from windtunnel.harness.statistics.means import effective_mean


def outcomes(both: int, only_a: int, only_b: int, neither: int) -> tuple[Mask, Mask]:
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array(a), np.array(b)


def evidence(values: Floats, ids: list[int] | None = None, groups: list[str] | None = None, low: float | None = 0.0) -> Evidence:
    ids_N = np.array(range(len(values)) if ids is None else ids, dtype=np.uint64)
    statistic = column_mean("x", low, None if low is None else 1.0)
    return Evidence(statistic, "x", {"x": np.asarray(values, dtype=float)}, (), ids_N, groups or ())


@pytest.mark.parametrize("cells", [(20, 0, 0, 0), (0, 0, 0, 5), (0, 5, 0, 0), (1, 0, 0, 0), (3, 4, 4, 3), (0, 9, 2, 0)])
def test_the_interval_at_the_ends_of_the_scale(cells: tuple[int, ...]) -> None:
    """It contains the value, and is mirrored if the runs change places."""
    a, b = outcomes(*cells)
    found, mirrored = compare_rates(a, b), compare_rates(b, a)
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= a.mean() - b.mean() <= found.high <= 1
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize("n", [8, 12, 20, pytest.param(40, marks=pytest.mark.long)])
def test_each_bound_misses_as_seldom_as_promised_and_mcnemar_holds_its_level(n: int) -> None:
    """Exactly, over all possible outcomes: each bound misses in at most 2.6 % of runs, the test in at most 5 %."""
    cells = [(*some, n - sum(some)) for some in itertools.product(range(n + 1), repeat=3) if sum(some) <= n]
    found = [compare_rates(*outcomes(*each)) for each in cells]
    bounds = np.array([(each.low, each.high) for each in found])
    p_values = np.array([each.p_value for each in found])
    for first, second in itertools.product((0.0, 0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.62), repeat=2):
        for both in (0.9, 0.75, 0.5, 0.44, 0.3, 0.1):
            if both + first + second <= 1:
                chances = multinomial.pmf(cells, n, [both, first, second, max(0.0, 1 - both - first - second)])
                truth = first - second
                assert chances @ (bounds[:, 0] > truth + 1e-12) <= 0.026, (first, second, both)
                assert chances @ (bounds[:, 1] < truth - 1e-12) <= 0.026, (first, second, both)
                assert chances @ (p_values <= 0.05) <= 0.05 or first != second


def test_runs_without_any_difference_have_the_interval_of_a_rate_of_none() -> None:
    """Of n equal answers, a model that is worse on a share of 1 - 0.025^(1 / n) would give such a sample in 2.5 % of all runs."""
    for cells in ((60, 0, 0, 40), (100, 0, 0, 0)):
        found = compare_rates(*outcomes(*cells))
        assert (found.value, found.n) == (0.0, 100)
        assert found.low is not None
        assert found.low <= -(1 - 0.025 ** (1 / 100)) + 1e-3


@pytest.mark.parametrize("cells", [(0, 5), (14, 26), (300, 240)])
def test_mcnemar_is_the_binomial_test(cells: tuple[int, int]) -> None:
    assert mcnemar(*outcomes(3, *cells, 2)).p_value == pytest.approx(binomtest(cells[0], sum(cells)).pvalue)


def test_runs_are_compared_on_the_samples_of_both() -> None:
    candidate, baseline = evidence(np.array([1, 0, 0, 1]), [7, 8, 9, 1]), evidence(np.array([1, 1, 0]), [9, 8, 7])
    assert compare_evidence(candidate, baseline) == compare_rates(np.array([True, False, False]), np.array([False, True, True]))
    assert compare_evidence(candidate, evidence(np.array([1.0]), [50])).reason == "no sample is scored in both runs"


def test_means_are_compared_by_their_own_intervals() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(60), rng.random(60)
    assert compare_evidence(evidence(a), evidence(b)) == paired_mean_difference(a, b, 0, 1)
    # A plugin's score may exceed the bounds in one of the runs.
    assert compare_evidence(evidence(a), evidence(b, low=None)) == paired_mean_difference(a, b)


def test_rates_in_groups_are_no_independent_samples() -> None:
    a, b = np.repeat([1.0, 0.0, 1.0, 1.0, 1.0, 1.0], 10), np.repeat([1.0, 1.0, 0.0, 1.0, 0.0, 0.0], 10)
    groups = [str(i // 10) for i in range(60)]
    alone, grouped = compare_evidence(evidence(a), evidence(b)), compare_evidence(evidence(a, None, groups), evidence(b, None, groups))
    assert grouped == paired_mean_difference(a, b, 0, 1, groups)
    assert alone.value == grouped.value
    assert alone.p_value is not None
    assert grouped.p_value is not None
    assert alone.p_value < 0.01 < grouped.p_value


def test_other_numbers_are_compared_by_resampling() -> None:
    rng, labels = np.random.default_rng(1), ("no", "yes")
    target = rng.integers(0, 2, 80)
    runs = [{"target": target, "prediction": np.where(rng.random(80) < right, target, 1 - target)} for right in (0.8, 0.7)]
    a, b = (Evidence(F1Macro(), "f1_macro", run, labels, np.arange(80, dtype=np.uint64), seed=3) for run in runs)
    assert compare_evidence(a, b) == paired_bootstrap(F1Macro(), runs[0], runs[1], labels, seed=3)["f1_macro"]
    other = Evidence(F1Macro(), "f1_macro", runs[1], ("yes", "no"), b.ids_N)
    assert compare_evidence(a, other).reason == "the two runs have different classes"


@pytest.mark.parametrize("num_groups", [0, 10])
def test_equal_runs_are_seldom_told_apart(num_groups: int) -> None:
    """In at most 5 % of 400 draws and two and a half standard errors, with dependent samples too."""
    rng, n = np.random.default_rng(num_groups), 50
    groups = [str(i % num_groups) for i in range(n)] if num_groups else None
    found = []
    for _ in range(400):
        right = 0.75 + 0.2 * rng.standard_normal((2, num_groups or n))[:, np.arange(n) % (num_groups or n)]
        a, b = (rng.random((2, n)) < right).astype(float)
        found.append(compare_evidence(evidence(a, None, groups), evidence(b, None, groups)).p_value)
    assert np.mean([p is not None and p <= 0.05 for p in found]) <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 400)


def test_a_comparison_of_runs_that_may_end_early_holds_at_the_look() -> None:
    """Its bounds miss with the probability of the look, its p-value is small just where they exclude 0, and other numbers have none."""
    a, b = np.repeat([1.0, 0.0, 1.0], [12, 1, 87]), np.repeat([0.0, 1.0, 1.0], [12, 1, 87])
    tail = find_tails(4)[1]
    early = compare_evidence(replace(evidence(a), tail=tail), evidence(b))
    plain = compare_evidence(evidence(a), evidence(b))
    assert (early.low, early.high) == effective_mean(a - b, -1, 1, None).bounds(tail)  # type: ignore[union-attr]
    assert early.p_value == pytest.approx((plain.p_value or 0) * TAIL / tail)
    assert (early.low or 0) < 0 < (plain.low or 0)
    anytime = compare_evidence(replace(evidence(a), tail=0.0), evidence(b))
    unbounded = compare_evidence(replace(evidence(a, low=None), tail=tail), evidence(b, low=None))
    for found in (anytime, unbounded):
        assert (found.value, found.low, found.high, found.p_value) == (plain.value, None, None, None)
        assert "may end early" in found.reason
