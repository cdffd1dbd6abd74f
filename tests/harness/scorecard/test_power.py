"""Simulated gates: error rates that are promised, drops that are caught, and ways to make answers worse."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.stats import norm
from windtunnel.harness.metrics.classification import F1Macro
from windtunnel.harness.metrics.scores import column_mean
from windtunnel.harness.scorecard.power import measure_paired_power, measure_power
from windtunnel.harness.scorecard.simulation import draw_samples, swap_runs, worsen
from windtunnel.harness.statistics import Evidence, paired_bootstrap


def _rate(num_right: int, n: int, groups: tuple[str, ...] = ()) -> Evidence:
    right_N = (np.arange(n) < num_right).astype(float)
    return Evidence(column_mean("right"), "right", {"right": right_N}, (), np.arange(n, dtype=np.uint64), groups)


def _judge(threshold: float, evidence: Evidence) -> str:
    found = evidence.estimate()
    assert found.low is not None
    assert found.high is not None
    return "pass" if found.low >= threshold else "fail" if found.high < threshold else "inconclusive"


def test_a_gate_far_below_the_value_never_fails_and_one_at_it_is_undecided() -> None:
    far = measure_power(_rate(180, 200), partial(_judge, 0.7), True, num_draws=100)
    near = measure_power(_rate(180, 200), partial(_judge, 0.9), True, num_draws=100)
    assert (far.passes, far.stops, far.exceeds_promise) == (1.0, 0.0, False)
    assert near.inconclusive > 0.9
    assert near.exceeds_promise
    assert not measure_power(_rate(180, 200), partial(_judge, 0.9), True, inconclusive="warn", num_draws=100).exceeds_promise


@pytest.mark.parametrize("n", [50, 200, 1_000])
def test_a_gate_on_a_value_below_the_threshold_passes_as_seldom_as_promised(n: int) -> None:
    """The true value is the threshold's: the whole interval lies above it in at most 2.5 % of the runs."""
    rng, passed, num_runs = np.random.default_rng(n), 0, 400
    for right in rng.binomial(n, 0.85, num_runs).tolist():
        passed += _judge(0.85, _rate(right, n)) == "pass"
    assert passed / num_runs <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / num_runs)


@pytest.mark.parametrize("n", [50, 200, 1_000])
def test_a_gate_against_a_baseline_fails_as_seldom_as_promised_if_nothing_changed(n: int) -> None:
    rng = np.random.default_rng(n)
    right_N = rng.random(n) < 0.9
    changed_N = rng.random(n) < 0.06
    pair = _rate(0, n), _rate(0, n)
    pair[0].columns["right"][:], pair[1].columns["right"][:] = right_N, right_N ^ changed_N

    def judge(drawn: tuple[Evidence, Evidence]) -> str:
        found = paired_bootstrap(drawn[0].statistic, drawn[0].columns, drawn[1].columns, ())["right"]
        assert found.high is not None
        return "fail" if found.high < 0 else "pass"

    found = measure_paired_power(pair, judge, True, num_draws=300)
    assert found.fails <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 300)
    assert not found.exceeds_promise
    assert found.drop is not None
    assert found.drop < {50: 0.3, 200: 0.12, 1_000: 0.05}[n]


def test_the_caught_drop_is_that_of_a_normal_approximation() -> None:
    """A gate that fails once the whole interval is below 0.8 catches a drop to p with power 0.8 where z says so."""
    found = measure_power(_rate(900, 1_000), partial(_judge, 0.8), True, inconclusive="warn", num_draws=300)
    p = 0.9 - (found.drop or 0.0)
    bound = 0.8 - norm.ppf(0.975) * np.sqrt(0.8 * 0.2 / 1_000)
    assert norm.cdf((bound - p) / np.sqrt(p * (1 - p) / 1_000)) == pytest.approx(0.8, abs=0.15)


def test_a_drop_that_cannot_be_caught_has_a_reason() -> None:
    found = measure_power(_rate(4, 4), partial(_judge, 0.1), True, inconclusive="warn", num_draws=50)
    assert found.drop is None
    assert "even with all answers made worse" in found.reason
    assert "neither" in measure_power(_rate(4, 4), partial(_judge, 0.1), None, num_draws=5).reason
    unbounded = Evidence(column_mean("x", None, None), "x", {"x": np.ones(4)}, (), np.arange(4, dtype=np.uint64))
    assert "no way is known" in measure_power(unbounded, lambda _: "pass", True, num_draws=5).reason


def test_groups_are_drawn_as_wholes_and_a_group_drawn_twice_is_two() -> None:
    drawn = draw_samples(_rate(3, 9, tuple("aaabbbbcc")), np.random.default_rng(3))
    assert len(set(drawn.groups)) == 3
    sizes = [list(drawn.groups).count(name) for name in dict.fromkeys(drawn.groups)]
    assert set(sizes) <= {3, 4, 2}
    assert len(draw_samples(_rate(3, 9), np.random.default_rng(0)).ids_N) == 9


def test_swapped_runs_keep_each_pair_of_answers() -> None:
    first, second = _rate(6, 10), _rate(3, 10)
    one, other = swap_runs((first, second), np.random.default_rng(0))
    assert {tuple(sorted(pair)) for pair in zip(one.columns["right"], other.columns["right"], strict=True)} == {(0, 0), (0, 1), (1, 1)}
    assert (one.columns["right"] + other.columns["right"]).tolist() == (first.columns["right"] + second.columns["right"]).tolist()
    assert (one.columns["right"] != first.columns["right"]).any()


def test_worse_answers_lower_any_metric_of_classes() -> None:
    target_N = np.arange(300) % 3
    evidence = Evidence(
        F1Macro(), "f1_macro", {"prediction": target_N.copy(), "target": target_N}, ("a", "b", "c"), np.arange(300, dtype=np.uint64)
    )
    half, none = (worsen(evidence, share, True, np.random.default_rng(0)) for share in (0.5, 0.0))
    assert none is not None
    assert half is not None
    assert (none.estimate().value, half.estimate().value) == (1.0, pytest.approx(1 - 0.5 * 2 / 3, abs=0.06))
    assert np.bincount(half.columns["prediction"]).tolist() == [100, 100, 100]
