"""Tiers, slices, patterns, missing rows, and changes against a baseline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.scorecard import Estimate, GateResult, Row, Scorecard
from windtunnel.harness.metrics.scores import column_mean
from windtunnel.harness.scorecard.counterparts import select_model
from windtunnel.harness.scorecard.gates import check_gate, check_gates, decide_verdict, exit_code, load_gates, parse_entry, read_argument
from windtunnel.harness.scorecard.gates.family import correct_family
from windtunnel.harness.scorecard.gates.judgement import Drop, Judgement, Threshold, find_p_value
from windtunnel.harness.statistics import Difference, Evidence, rate
from windtunnel.harness.statistics.intervals import Z

GOOD, OPEN, BAD = Estimate(0.9, 0.85, 0.95, 50), Estimate(0.8, 0.7, 0.9, 50), Estimate(0.5, 0.4, 0.6, 50)


def _row(estimate: Estimate, item: str = "t", slice: str = "", metric: str = "acc", model: str = "m") -> Row:
    return Row(model, ItemKey("task", item), metric, "quality", estimate, True, slice=slice)


def _card(*rows: Row, **facts: Any) -> Scorecard:
    known = {(row.model, row.item): row for row in rows}
    items = [
        {"model": model, "item": item, "kind": "task", "key": row.key.to_json(), "num_samples": 50, **facts}
        for (model, item), row in known.items()
    ]
    return Scorecard({"items": items}, rows, row_names={"task": ("acc",)})


def _check(entry: Any, card: Scorecard, baseline: Scorecard | None = None) -> GateResult:
    return check_gate(parse_entry(entry), card, baseline)


@pytest.mark.parametrize(
    ("tier", "estimate", "verdict", "code"),
    [
        ("critical", BAD, "fail", 1), ("critical", OPEN, "fail", 1), ("critical", Estimate(None), "no_data", 3),
        ("critical", GOOD, "pass", 0),
        ("supporting", BAD, "warn", 0), ("supporting", OPEN, "warn", 0), ("supporting", Estimate(None), "warn", 0),
        ("supporting", GOOD, "pass", 0), ("advisory", BAD, "pass", 0), ("advisory", Estimate(None), "pass", 0),
    ],
)  # fmt: skip
def test_the_tier_says_what_an_outcome_means(tier: str, estimate: Estimate, verdict: str, code: int) -> None:
    result = _check({"check": "t.acc >= 0.8", "tier": tier}, _card(_row(estimate)))
    assert (result.verdict, result.tier) == (verdict, tier)
    assert exit_code(decide_verdict([result])) == code


@pytest.mark.parametrize(
    ("missing", "verdict", "code"), [("missing", "missing", 3), ("fail", "fail", 1), ("warn", "warn", 0), ("pass", "pass", 0)]
)
def test_a_missing_item_is_an_outcome_of_its_own(missing: str, verdict: str, code: int) -> None:
    result = _check({"check": "other.acc >= 0.8", "missing": missing}, _card(_row(GOOD)))
    assert (result.outcome, result.verdict) == ("missing", verdict)
    assert "the run has no item 'other'" in result.detail
    assert exit_code(decide_verdict([result])) == code


def test_too_few_samples_leave_a_gate_open() -> None:
    card = _card(_row(GOOD))
    assert _check({"check": "t.acc >= 0.8", "min_n": 50}, card).outcome == "pass"
    result = _check({"check": "t.acc.value >= 0.8", "min_n": 51}, card)
    assert (result.outcome, "'min_n' requires 51 samples" in result.detail) == ("inconclusive", True)


def test_a_gate_on_a_slice_and_on_every_slice() -> None:
    card = _card(_row(GOOD), _row(GOOD, slice="short"), _row(BAD, slice="long"))
    assert _check({"check": "t.acc >= 0.8", "slice": "short"}, card).outcome == "pass"
    assert _check({"check": "t.acc >= 0.8", "slice": "long"}, card).outcome == "fail"
    every = _check({"check": "t.acc >= 0.8", "slices": "every"}, card)
    assert (every.outcome, every.gate) == ("fail", "t.acc >= 0.8 on every slice")
    assert "1 of 2 rows pass; m/t.acc[long]: 0.5" in every.detail
    nowhere = _check({"check": "t.acc >= 0.8", "slice": "middle"}, card)
    assert (nowhere.outcome, "no slice 'middle'" in nowhere.detail) == ("missing", True)


def test_a_pattern_reads_all_rows_that_match() -> None:
    card = _card(_row(GOOD, "a"), _row(GOOD, "b(c)"), _row(BAD, "b(c)", metric="other"))
    result = _check("*.acc >= 0.8", card)
    assert (result.outcome, [row.item for row in result.rows]) == ("pass", ["a", "b(c)"])
    assert _check("b*.* >= 0.8", card).outcome == "fail"
    assert _check("x*.acc >= 0.8", card).outcome == "missing"


def test_a_fail_that_chance_explains_among_many_rows_is_inconclusive() -> None:
    low, high = rate(30, 50)
    weak, threshold = Estimate(0.6, low, high, 50), high + 0.005
    others = [_row(Estimate(1.0, 0.99, 1.0, 500), f"t{i}") for i in range(20)]
    alone = _check(f"t.acc >= {threshold}", _card(_row(weak)))
    among = _check(f"*.acc >= {threshold}", _card(_row(weak), *others))
    assert (alone.outcome, among.outcome) == ("fail", "inconclusive")
    assert "may by chance among 21 rows (Holm)" in among.detail
    assert _check(f"*.acc >= {threshold}", _card(_row(replace(weak, value=0.1, low=0.01, high=0.2)), *others)).outcome == "fail"


def test_the_p_value_at_the_bound_is_that_of_the_bound() -> None:
    assert find_p_value(0.5, 0.6, 0.6) == pytest.approx(0.025)
    assert find_p_value(0.5, 0.4, 0.4) == pytest.approx(0.025)
    assert find_p_value(0.5, 0.6, 0.7) == pytest.approx(4.4e-5, rel=0.1)


def test_a_family_fails_by_chance_as_seldom_as_one_gate() -> None:
    rng, threshold, num_failed = np.random.default_rng(0), Threshold(None, ">=", 0.5), 0
    for _ in range(400):
        values = rng.normal(0.5, 0.1, 20)
        found = [threshold.judge(Estimate(v, v - Z * 0.1, v + Z * 0.1, 9), is_share=False) for v in values]
        num_failed += any(judgement.outcome == "fail" for judgement in correct_family(found))
    assert num_failed <= 400 * 0.025 + 2 * (400 * 0.025) ** 0.5


def _run(correct: list[int], item: str = "t", model: str = "m", better: bool | None = True, **facts: Any) -> Scorecard:
    values = np.array(correct, dtype=float)
    evidence = Evidence(column_mean("x"), "x", {"x": values}, (), np.arange(len(values), dtype=np.uint64))
    row = replace(_row(evidence.estimate(), item, model=model), evidence=evidence, higher_is_better=better)
    return _card(row, **facts)


BASE = [1] * 90 + [0] * 10


@pytest.mark.parametrize(
    ("candidate", "entry", "outcome"),
    [
        (BASE, {"drop": 0.05}, "pass"),
        (BASE, {"drop": 0.01}, "inconclusive"),
        ([0] * 20 + [1] * 80, {"drop": 0.05}, "inconclusive"),
        ([0] * 50 + [1] * 50, {"drop": 0.05}, "fail"),
        ([1] * 100, {"drop": 0.0}, "pass"),
        (BASE, {"relative": 0.06}, "pass"),
        (BASE, {"drop": 0.2, "relative": 0.001}, "inconclusive"),
    ],
)
def test_a_drop_is_judged_on_the_paired_interval(candidate: list[int], entry: dict[str, float], outcome: str) -> None:
    result = _check({"check": "t.acc", **entry}, _run(candidate), _run(BASE))
    assert (result.outcome, result.rows[0].baseline, result.rows[0].n) == (outcome, 0.9, 100), result.detail


def test_where_lower_is_better_a_rise_is_the_drop() -> None:
    worse = [1] * 100
    result = _check({"check": "t.acc", "drop": 0.05}, _run(worse, better=False), _run([0] * 50 + [1] * 50, better=False))
    assert (result.outcome, "may rise by 0.05" in result.detail) == ("fail", True)
    assert _check({"check": "t.acc", "drop": 0.05}, _run([0] * 50 + [1] * 50, better=False), _run(worse, better=False)).outcome == "pass"


@pytest.mark.parametrize(
    ("baseline", "outcome", "words"),
    [
        (None, "missing", "there is no baseline"),
        (_run(BASE, "other"), "missing", "the baseline has no such number"),
        (_run(BASE, data_fingerprint="other"), "no_data", "the baseline cannot be compared: different data; 'allow_mismatch: true'"),
        (_run(BASE, identity={"metrics": "2"}), "no_data", "different version of a metric"),
        (_run(BASE, num_samples=80), "no_data", "different limit (80, then 50)"),
        (_run(BASE, threat={"max_words": 2}), "no_data", "different threat"),
        (_run(BASE, model="former"), "pass", "against the baseline's 0.9"),
        (_run(BASE[:0]), "no_data", "the baseline is not scored"),
    ],
)
def test_what_a_baseline_lacks(baseline: Scorecard | None, outcome: str, words: str) -> None:
    result = _check({"check": "t.acc", "drop": 0.05}, _run(BASE), baseline)
    assert (result.outcome, words in result.detail) == (outcome, True), result.detail
    assert all(row.value is None for row in result.rows if row.baseline is not None and outcome != "pass")  # it would be a difference


def test_an_allowed_mismatch_is_said() -> None:
    result = _check({"check": "t.acc", "drop": 0.05, "allow_mismatch": True}, _run(BASE), _run(BASE, identity={"samples": "2"}))
    assert (result.outcome, result.mismatches) == ("pass", ("m/t: different data",))


def test_a_model_of_another_name_is_compared_with_the_one_that_is_named() -> None:
    runs = [_run(BASE, model=model) for model in ("first", "second")]
    items = [facts for run in runs for facts in run.manifest["items"]]
    several = Scorecard({"items": items}, tuple(row for run in runs for row in run.rows))
    entry = {"check": "t.acc", "drop": 0.05}
    result = _check(entry, _run(BASE), several)
    assert (result.outcome, len(result.rows)) == ("missing", 1)
    assert "the baseline has no model 'm', only first, second; choose one of" in result.detail
    assert _check(entry, _run(BASE), select_model(several, "second", "baseline.json")).outcome == "pass"
    with pytest.raises(ConfigError, match=r"baseline\.json has no model 'secnd'\. Did you mean 'second'"):
        select_model(several, "secnd", "baseline.json")


def test_what_only_the_baseline_has_is_missing() -> None:
    two = Scorecard({}, (*_run(BASE).rows, *_run(BASE, "u").rows))
    result = _check({"check": "*.acc", "drop": 0.05}, replace(_run(BASE), manifest={}), two)
    rows = [(row.item, row.outcome, row.value) for row in result.rows]
    assert (result.outcome, rows) == ("missing", [("t", "pass", 0.0), ("u", "missing", None)])


def test_a_number_without_a_better_direction_has_no_drop() -> None:
    result = _check({"check": "t.acc", "drop": 0.05}, _run(BASE, better=None), _run(BASE, better=None))
    assert (result.outcome, "neither direction" in result.detail) == ("no_data", True)


def test_a_count_has_no_interval() -> None:
    one, two = (_card(replace(_row(Estimate(value, n=5), metric="forward_passes"), higher_is_better=False)) for value in (10.0, 12.0))
    assert _check({"check": "t.forward_passes", "relative": 0.2}, two, one).outcome == "pass"
    assert _check({"check": "t.forward_passes", "drop": 1}, two, one).outcome == "fail"
    assert _check({"check": "t.forward_passes", "drop": 1}, one, two).outcome == "pass"


def test_a_difference_is_judged_without_a_scorecard() -> None:
    found = Drop(most=0.02).judge(Difference(-0.05, -0.08, -0.03, 0.001, 400), 0.8, True)
    assert isinstance(found, Judgement)
    assert found.outcome == "fail"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"check": "t.acc"}, "is no gate"),
        ({"check": "t.acc >= 1", "drop": 0.1}, "write the threshold and the 'drop' as two gates"),
        ({"check": "t.acc.low", "drop": 0.1}, "not its 'low'"),
        ({"check": "t.acc", "drop": -0.1}, "drop: .*not -0.1"),
        ({"check": "t.acc", "drop": float("nan")}, "drop: "),
        ({"check": "t.acc > 1", "tier": "high"}, "tier: .*not 'high'"),
        ({"check": "t.acc > 1", "slice": "a", "slices": "every"}, "not both"),
        ({"check": "t.acc > 1", "teir": "critical"}, "a gate has no key 'teir'. Did you mean 'tier'"),
        ({"drop": 0.1}, "a gate is a check, or has the key 'check'"),
    ],
)
def test_a_wrong_entry_is_told(entry: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_entry(entry)


def test_a_check_may_stand_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "gates.yaml").write_text("- t.acc >= 0.5\n- {check: t.acc, drop: 0.1, tier: supporting}\n")
    assert [gate.tier for gate in load_gates(tmp_path / "gates.yaml")] == ["critical", "supporting"]
    arguments = [str(tmp_path / "gates.yaml"), "t.acc >= 0.5", "{check: t.acc, drop: 1%, min_n: 3}"]
    with pytest.raises(ConfigError, match="drop"):
        parse_entry(*read_argument(arguments[2]))
    parsed = [gate for text in (*arguments[:2], "{check: t.acc, drop: 0.01}") for gate in map(parse_entry, read_argument(text))]
    assert [gate.title for gate in parsed][-2:] == ["t.acc >= 0.5", "t.acc worse by at most 0.01"]
    assert len(check_gates(parsed, _card(_row(GOOD)))) == 4
