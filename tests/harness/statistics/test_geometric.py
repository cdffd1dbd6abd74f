"""Geometric means of times, and their ratios over pairs of chunks."""

from __future__ import annotations

import numpy as np
import pytest
from windtunnel.harness.statistics.comparisons import Difference
from windtunnel.harness.statistics.evidence import Evidence
from windtunnel.harness.statistics.geometric import TOLERANCE, compare_geometric_means, geometric_mean
from windtunnel.harness.statistics.intervals import Floats
from windtunnel.harness.statistics.paired import compare_evidence


def draw(num: int, noise: float, seed: int = 0, correlation: float = 0.0) -> Floats:
    """Return logarithms with this standard deviation; neighbours have this correlation."""
    rng, values = np.random.default_rng(seed), [0.0]
    for _ in range(num + 50):
        values.append(correlation * values[-1] + float(np.sqrt(1 - correlation**2)) * float(rng.standard_normal()))
    return noise * np.array(values[-num:])


@pytest.mark.parametrize(("factor", "noise", "is_tested"), [(1.0, 0.1, False), (1.2, 0.01, False), (1.6, 0.05, True), (0.5, 0.05, True)])
def test_a_change_counts_beyond_a_tolerance(factor: float, noise: float, is_tested: bool) -> None:
    found = compare_geometric_means(factor * np.exp(draw(12, noise, 1)), np.exp(draw(12, noise, 2)))
    assert found.value == pytest.approx(factor - 1, abs=0.1)
    assert found.p_value is not None
    assert (found.p_value < 0.01) == is_tested
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high  # type: ignore[operator]


def test_few_chunks_have_no_interval() -> None:
    found = compare_geometric_means(np.array([2.0, 2.0, 2.0]), np.ones(3))
    assert (found.value, found.low, found.p_value) == (pytest.approx(1.0), None, None)
    assert "3 chunks" in found.reason
    assert evidence(np.ones(3)).estimate().low is None


def evidence(values: Floats, column: str = "seconds", first: int = 0) -> Evidence:
    ids = np.arange(first, first + len(values), dtype=np.uint64)
    return Evidence(geometric_mean(column), column, {column: values}, (), ids)


def test_chunks_are_paired_by_their_samples_and_clocks_do_not_mix() -> None:
    values = np.exp(draw(10, 0.3))
    found = compare_evidence(evidence(1.5 * values[2:], first=2), evidence(values[:8]))
    assert found.n == 6
    assert found.value == pytest.approx(0.5 * np.exp(np.log(values[2:8]).mean()))
    assert compare_evidence(evidence(values), evidence(values, "CPU seconds")) == Difference(
        None, reason="the two runs have different clocks: seconds and CPU seconds"
    )


@pytest.mark.long
@pytest.mark.parametrize(("num", "correlation"), [(4, 0.0), (8, 0.0), (40, 0.0), (40, 0.5), (160, 0.8)])
def test_the_interval_covers_though_neighbours_are_alike(num: int, correlation: float) -> None:
    """The promise is 95 %; neighbours that are alike over half a block cost up to 4 points."""
    covered = 0
    for seed in range(1000):
        before, after = (np.exp(draw(num, 0.2, 2 * seed + side, correlation)) for side in (0, 1))
        found = compare_geometric_means(1.1 * after, before)
        start = float(np.exp(np.log(before).mean()))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.1 * start <= found.high
    assert covered >= (930 if correlation < 0.5 else 900)


@pytest.mark.long
def test_two_equal_runs_on_machines_that_differ_within_the_tolerance_are_not_told_apart() -> None:
    drift = np.random.default_rng(0).uniform(1 / TOLERANCE, TOLERANCE, 1000)
    alarms = 0
    for seed, factor in enumerate(drift):
        found = compare_geometric_means(factor * np.exp(draw(12, 0.1, 2 * seed)), np.exp(draw(12, 0.1, 2 * seed + 1)))
        assert found.p_value is not None
        alarms += found.p_value <= 0.05
    assert alarms <= 50
