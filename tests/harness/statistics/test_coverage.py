"""Intervals cover what they promise, and gates err as seldom as they promise: a fast part of `statistics.coverage`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom
from windtunnel.bench import coverage
from windtunnel.bench.truths import Alike, Truth, outcomes
from windtunnel.harness import statistics
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.scorecard import Estimate, Row, Scorecard
from windtunnel.harness.items.kinds import ROWS
from windtunnel.harness.metrics.scores import column_mean
from windtunnel.harness.scorecard.gates import Gate, check_gate
from windtunnel.harness.scorecard.names import EXACT, get_kind
from windtunnel.harness.statistics import Groups

CELLS = ((20, 0), (100, 0), (100, 10))
FAST = ("rate: 0.9", "Brier score: easy", "log loss: easy", "median: lognormal", "macro-F1: 20 classes", "rate corrected for a judge: 0.3",
        "paired difference: rare losses", "F1: prevalence 0.1", "kappa: often yes", "mean without bound: exponential",
        "overprediction: 0.95 and 0.02")  # fmt: skip
"""Populations of the default suite; CI draws from all of them."""


def named(truth: Truth) -> str:
    return f"{truth.kind}: {truth.name}{truth.alike}"


TRUTHS = [pytest.param(truth, id=named(truth), marks=() if named(truth) in FAST else pytest.mark.long) for truth in coverage.TRUTHS]


@cache
def true_value(truth: Truth) -> float:
    return truth.true_value()


@pytest.mark.parametrize("truth", TRUTHS)
def test_the_interval_of_every_kind_of_row_covers(truth: Truth) -> None:
    for n, num_groups in CELLS:
        cell = coverage.cover(truth, n, num_groups, 60, true_value(truth))
        assert cell.holds, (n, num_groups, coverage.shown(cell))


def test_samples_without_their_tail_are_not_the_only_ones_that_are_bounded() -> None:
    """Of 60 draws from a heavy tail, those that have none of its large values look harmless."""
    truth = next(truth for truth in coverage.TRUTHS if truth.name == "lognormal, sigma 1.5")
    cell = coverage.cover(truth, 60, 0, 600)
    assert cell.below <= coverage.MOST_ON_A_SIDE, coverage.shown(cell)
    assert cell.unbounded < 50


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


@pytest.mark.parametrize("correlation", [0.1, 0.3])
def test_members_of_a_group_are_as_alike_as_said(correlation: float) -> None:
    """Whatever the score, and over all draws as without groups."""
    rng = np.random.default_rng(0)
    draws = [outcomes(12, 5, rng, Alike(correlation)) for _ in range(3000)]
    assert np.mean([u_N for u_N, _ in draws]) == pytest.approx(0.5, abs=0.01)
    pairs = np.array([u_N[[index for index, name in enumerate(names) if name == "0"][:2]] for u_N, names in draws if names.count("0") > 1])
    for score_D2 in (pairs, pairs < 0.9, np.exp(pairs)):
        assert np.corrcoef(score_D2.T)[0, 1] == pytest.approx(correlation, abs=0.08)


def test_half_of_the_samples_can_be_alone() -> None:
    _, names = outcomes(100, 10, np.random.default_rng(0), Alike(half_alone=True))
    assert sum(names.count(name) == 1 for name in set(names)) >= 50


@pytest.mark.parametrize("num_groups", [5, 10, 20])
@pytest.mark.parametrize("rate", [0.5, 0.8, 0.95])
def test_groups_that_are_seen_to_be_uniform_count_as_one_sample_each(num_groups: int, rate: float) -> None:
    """Of groups that are all right or all wrong, and of either kind, summed over all samples there can be. Where all groups are right
    nothing shows that they are uniform."""
    for size in (5, 50):
        groups, above, below = Groups(np.repeat(np.arange(num_groups), size)), 0.0, 0.0
        for num_right in range(1, num_groups):
            found = statistics.bounded_mean(np.repeat(np.arange(num_groups) < num_right, size), 0, 1, groups)
            assert found.low is not None
            assert found.high is not None
            chance = float(binom.pmf(num_right, num_groups, rate))
            above, below = above + chance * (found.low > rate), below + chance * (found.high < rate)
        assert max(above, below) <= 0.025, size


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("discordant", [0.1, 0.3, 0.8])
def test_mcnemar_seldom_tells_equal_runs_apart(n: int, discordant: float) -> None:
    """In at most 5 % of 2,000 draws, and two and a half standard errors."""
    rng = np.random.default_rng(n)
    kind_DN = rng.choice(4, size=(2000, n), p=[1 - discordant - 0.1, 0.1, discordant / 2, discordant / 2])
    found = [statistics.mcnemar((kind_N == 0) | (kind_N == 2), (kind_N == 0) | (kind_N == 3)).p_value for kind_N in kind_DN]
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 2000)


# ── every row has a population ────────────────────────────────────────────────────────────────────────────────────────


def test_every_metric_names_a_kind_that_is_simulated() -> None:
    """And one whose populations have their intervals by the same function."""
    registry = Registry()
    for name in registry.names("metrics"):
        metric = registry.make("metrics", name)
        if name == "corruption_error":
            continue  # bounded means of many columns
        simulated = {type(truth.metric()).intervals for truth in coverage.TRUTHS if truth.kind == metric.kind}
        assert type(metric).intervals in simulated, f"{name} is a {metric.kind!r}, of which no population of coverage.TRUTHS is"


def test_every_row_of_an_attack_or_a_probe_is_of_a_kind_that_is_simulated() -> None:
    # Geometric means are those of times, which test_geometric simulates.
    simulated = {truth.kind for truth in coverage.TRUTHS} | {"", "geometric mean"}
    assert {get_kind(row) for rows in ROWS.values() for row in rows} <= simulated
    assert {row for rows in ROWS.values() for row in rows if not get_kind(row)} <= EXACT


def test_the_table_of_the_docs_has_every_population() -> None:
    text = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text(encoding="utf-8")
    missing = [truth for truth in coverage.TRUTHS if f"| {truth.kind} | {truth.name}{truth.alike} |" not in text]
    assert not missing


# ── gates exactly at the truth ────────────────────────────────────────────────────────────────────────────────────────


def outcome(gate: Gate, estimate: Estimate) -> str:
    row = Row("m", ItemKey("task", "t"), gate.metric, "quality", estimate, None)
    return check_gate(gate, Scorecard({"items": []}, (row,))).outcome


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


@pytest.mark.parametrize("truth", TRUTHS)
def test_a_gate_at_the_truth_is_seldom_decided(truth: Truth) -> None:
    """With and without groups: in at most 4 % of all runs on either side, and two and a half standard errors of so many draws."""
    name, metric, draws = truth.number or truth.metric().name, truth.metric(), 60
    for n, num_groups in ((100, 0), (100, 10)):
        decided = []
        for seed in range(draws):
            rng = np.random.default_rng((seed, 17))
            u_N, groups = outcomes(n, num_groups, rng, truth.alike)
            found = metric.intervals(truth.draw(u_N, rng), truth.labels, Groups.of(n, groups), seed)[name]
            decided.append(outcome(Gate.parse(f"t.x <= {true_value(truth):.9f}"), Estimate(0.0, found.low, found.high, n)))
        for verdict in ("pass", "fail"):
            assert decided.count(verdict) <= draws * 0.04 + 2.5 * np.sqrt(draws * 0.04), (verdict, num_groups)


def test_what_is_not_bounded_leaves_its_gate_open() -> None:
    truth = next(truth for truth in coverage.TRUTHS if truth.kind == "ECE")
    rng = np.random.default_rng(0)
    found = statistics.estimate(truth.metric(), truth.draw(rng.random(50), rng), truth.labels)["ece"]
    gate = Gate.parse("t.ece <= 0.9")
    result = check_gate(gate, Scorecard({"items": []}, (Row("m", ItemKey("task", "t"), "ece", "calibration", found, False),)))
    assert result.outcome == "inconclusive"
    assert "too few to bound" in result.detail
