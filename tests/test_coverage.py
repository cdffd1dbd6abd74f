"""Intervals cover what they promise, and gates err as seldom as they promise: a fast part of `statistics.coverage`."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import binom
from windtunnel.harness import statistics
from windtunnel.harness.gates import Gate
from windtunnel.harness.metrics.scores import column_mean
from windtunnel.harness.registry import Registry
from windtunnel.harness.scorecard import Estimate, Row, Scorecard
from windtunnel.harness.statistics import coverage
from windtunnel.harness.statistics.truths import Truth, outcomes

CELLS = ((20, 0), (100, 0), (100, 10))


def named(truth: Truth) -> str:
    return f"{truth.kind}: {truth.name}"


@cache
def true_value(index: int) -> float:
    return coverage.TRUTHS[index].true_value()


@pytest.mark.parametrize("index", range(len(coverage.TRUTHS)), ids=[named(truth) for truth in coverage.TRUTHS])
def test_the_interval_of_every_kind_of_row_covers(index: int) -> None:
    for n, num_groups in CELLS:
        cell = coverage.cover(coverage.TRUTHS[index], n, num_groups, 60, true_value(index))
        assert cell.holds, (n, num_groups, coverage.shown(cell))


def test_a_cell_that_does_not_cover_is_found() -> None:
    """The simulation itself: an interval that is a third too narrow fails it."""

    class Narrow(type(column_mean("x"))):  # type: ignore[misc]
        def intervals(self, *given: object) -> dict[str, statistics.Interval]:
            (found,) = super().intervals(*given).values()
            middle, half = (found.low + found.high) / 2, (found.high - found.low) / 3
            return {"x": statistics.Interval(middle - half, middle + half)}

    rate = next(truth for truth in coverage.TRUTHS if named(truth) == "rate: 0.5")
    assert coverage.cover(rate, 100, 0, 200).holds
    assert not coverage.cover(Truth("rate", "0.5", Narrow, rate.draw, value=0.5), 100, 0, 200).holds


def test_members_of_a_group_are_as_alike_as_said() -> None:
    rng = np.random.default_rng(0)
    draws = [outcomes(40, 5, rng) for _ in range(4000)]
    u_DN = np.array([u_N for u_N, _ in draws])
    assert u_DN.mean() == pytest.approx(0.5, abs=0.01)
    first = np.array([[u_N[index] for index in np.flatnonzero(np.array(names) == "0")[:2]] for u_N, names in draws if names.count("0") > 1])
    assert np.corrcoef(first.T)[0, 1] == pytest.approx(6 / np.pi * np.arcsin(0.2 / 2), abs=0.04)


def test_every_metric_is_of_a_kind_that_is_simulated() -> None:
    """By the function that makes its intervals, or as the mean of a score with bounds or without."""
    simulated = {type(truth.metric()).intervals for truth in coverage.TRUTHS}
    registry = Registry()
    missing = [name for name in registry.names("metrics") if type(registry.make("metrics", name)).intervals not in simulated]
    # Bounded means of many columns.
    assert missing == ["corruption_error"]


# ── gates exactly at the truth ────────────────────────────────────────────────────────────────────────────────────────


def outcome(gate: Gate, estimate: Estimate) -> str:
    row = Row("m", "t", gate.metric, "quality", estimate, None)
    return gate.check(Scorecard({"items": []}, (row,))).outcome


@pytest.mark.parametrize("n", [20, 100, 500])
@pytest.mark.parametrize("rate", [0.002, 0.5, 0.85, 0.99])
def test_a_gate_of_a_rate_errs_in_a_fortieth_of_all_runs(n: int, rate: float) -> None:
    """Summed over all samples there can be, not drawn."""
    gate, chances = Gate.parse(f"t.x >= {rate}"), {"pass": 0.0, "fail": 0.0, "inconclusive": 0.0}
    for successes in range(n + 1):
        low, high = statistics.rate(successes, n)
        chances[outcome(gate, Estimate(successes / n, low, high, n))] += float(binom.pmf(successes, n, rate))
    assert chances["pass"] <= 0.025
    assert chances["fail"] <= 0.025


@pytest.mark.parametrize("name", ["Brier score: easy", "log loss: easy", "ECE: calibrated", "macro-F1: 20 classes", "ROC-AUC: good"])
def test_a_gate_at_the_truth_is_seldom_decided(name: str) -> None:
    index = next(i for i, truth in enumerate(coverage.TRUTHS) if named(truth) == name)
    truth, value, decided = coverage.TRUTHS[index], true_value(index), []
    metric = truth.metric()
    for seed in range(80):
        rng = np.random.default_rng((seed, 17))
        columns = truth.draw(rng.random(150), rng)
        found = statistics.estimate(metric, columns, truth.labels, seed=seed)[metric.name]
        decided.append(outcome(Gate.parse(f"t.{metric.name} <= {value:.9f}"), found))
    # 4 %, and two standard errors of 80 draws.
    assert decided.count("pass") <= 80 * 0.04 + 2 * np.sqrt(80 * 0.04)
    assert decided.count("fail") <= 80 * 0.04 + 2 * np.sqrt(80 * 0.04)


def test_what_is_not_bounded_leaves_its_gate_open() -> None:
    truth = next(truth for truth in coverage.TRUTHS if truth.kind == "ECE")
    rng = np.random.default_rng(0)
    found = statistics.estimate(truth.metric(), truth.draw(rng.random(50), rng), truth.labels)["ece"]
    gate = Gate.parse("t.ece <= 0.9")
    result = gate.check(Scorecard({"items": []}, (Row("m", "t", "ece", "calibration", found, False),)))
    assert result.outcome == "inconclusive"
    assert "too few to bound" in result.detail
