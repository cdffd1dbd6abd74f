"""Gates: what is asked, and what each answer means for the exit code."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.scorecard import Estimate, Measure, Row, Scorecard
from windtunnel.harness.items.kinds import ROWS
from windtunnel.harness.scorecard.gates import Gate, check_gate, check_gates, decide_verdict, exit_code, load_gates
from windtunnel.harness.scorecard.gates.judgement import Threshold

names = st.text(st.characters(categories=("L", "N"), include_characters="_-:"), min_size=1, max_size=12)
dotted = st.lists(names, min_size=1, max_size=3).map(".".join)
items = st.one_of(dotted, st.builds("{}({})".format, names, st.one_of(dotted, st.builds("{}/{}".format, names, names))))
models = st.one_of(st.none(), st.lists(dotted, min_size=1, max_size=3).map("/".join))
parts = st.sampled_from([None, "value", "low", "high", "n", "n_unscored"])
labels = st.text(st.characters(exclude_characters="[]", exclude_categories=("C", "Z")), min_size=1, max_size=8)
metrics = st.one_of(names, st.builds("{}[{}]".format, names, labels)).filter(lambda m: m not in ("value", "low", "high", "n", "n_unscored"))


@settings(deadline=None, max_examples=300)
@given(models, items, metrics, parts, st.sampled_from([">=", "<=", ">", "<"]), st.floats(-1e6, 1e6))
def test_what_is_written_is_what_is_read(model: str | None, item: str, metric: str, part: str | None, op: str, number: float) -> None:
    path = (f"{model}/" if model else "") + f"{item}.{metric}" + (f".{part}" if part else "")
    for text in (f"{path} {op} {number!r}", f"  {path}{op}{number!r} "):
        gate = Gate.parse(text)
        assert (gate.model, gate.item, gate.metric, gate.threshold) == (model, item, metric, Threshold(part, op, number))
        assert Gate.parse(gate.text) == gate


@pytest.mark.parametrize(
    ("text", "number"), [("a.b >= 85%", 0.85), ("a.b >= 85 %", 0.85), ("a.b > -0.5", -0.5), ("a.b<1e-3", 1e-3), ("a.b < +.5", 0.5),
     ("a.b > 7%", 0.07)]
)  # fmt: skip
def test_numbers(text: str, number: float) -> None:
    threshold = Gate.parse(text).threshold
    assert threshold is not None
    assert threshold.number == number


@pytest.mark.parametrize(
    "text",
    ["", "sst2", "sst2.accuracy", "sst2.accuracy >=", "sst2.accuracy = 0.5", "sst2.accuracy == 0.5", "sst2.accuracy => 0.5",
     "accuracy > 0.5", "sst2.accuracy != 1", "sst2.accuracy > high", "sst2.accuracy > 0.5.1", "sst2.accuracy > nan", "sst2. > 1",
     ".accuracy > 1",
     "m/.acc > 1", "sst2.low > 1", "a(b.c) > 1", "x.y > 1 2", "x.y > .", "x.y >= 1e", "x.y > 5%%"],
)  # fmt: skip
def test_what_is_no_gate(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write it as|is not a number"):
        Gate.parse(text)


def _card(*estimates: Estimate, models: tuple[str, ...] = ("m", "org/n"), item: str = "t", metric: str = "acc") -> Scorecard:
    rows = tuple(Row(model, ItemKey("task", item), metric, "quality", e, True) for model, e in zip(models, estimates, strict=False))
    found = [{"model": r.model, "item": r.item, "kind": "task", "key": r.key.to_json(), "num_samples": 10} for r in rows]
    return Scorecard({"items": found}, rows, row_names=ROWS)


WIDE = Estimate(0.8, 0.6, 0.9, 20)


@pytest.mark.parametrize(
    ("check", "outcome"),
    [
        ("t.acc >= 0.5", "pass"), ("t.acc >= 0.6", "pass"), ("t.acc > 0.6", "inconclusive"), ("t.acc >= 0.7", "inconclusive"),
        ("t.acc >= 0.9", "inconclusive"), ("t.acc > 0.9", "fail"), ("t.acc >= 0.95", "fail"), ("t.acc <= 0.95", "pass"),
        ("t.acc <= 0.9", "pass"), ("t.acc < 0.9", "inconclusive"), ("t.acc <= 0.5", "fail"), ("t.acc.value >= 0.8", "pass"),
        ("t.acc.value > 0.8", "fail"), ("t.acc.low >= 0.6", "pass"), ("t.acc.low >= 0.61", "fail"), ("t.acc.high < 0.91", "pass"),
        ("t.acc.n >= 20", "pass"), ("t.acc.n > 20", "fail"), ("t.acc.n_unscored <= 0", "pass"), ("m/t.acc >= 50%", "pass"),
    ],
)  # fmt: skip
def test_the_interval_decides(check: str, outcome: str) -> None:
    assert check_gate(Gate.parse(check), _card(WIDE)).outcome == outcome


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from([">=", "<=", ">", "<"]), st.floats(-0.5, 1.5))
def test_an_interval_passes_when_each_of_its_points_does(a: float, b: float, c: float, op: str, number: float) -> None:
    low, value, high = sorted((a, b, c))
    outcome = check_gate(Gate.parse(f"t.acc {op} {number!r}"), _card(Estimate(value, low, high, 9))).outcome
    holds = [{">=": x >= number, "<=": x <= number, ">": x > number, "<": x < number}[op] for x in (low, value, high)]
    assert outcome == ("pass" if all(holds) else "fail" if not any(holds) else "inconclusive")


def test_without_an_interval_only_a_count_is_decided() -> None:
    alone = _card(Estimate(1.0, n=2, reason="no two resamples differ"))
    result = check_gate(Gate.parse("t.acc >= 0.8"), alone)
    assert (result.outcome, result.verdict) == ("inconclusive", "fail")
    assert "no two resamples differ" in result.detail
    assert check_gate(Gate.parse("t.acc.value >= 0.8"), alone).outcome == "pass"
    passes = _card(Estimate(3.0, n=2), metric="forward_passes")
    assert check_gate(Gate.parse("t.forward_passes <= 3"), passes).outcome == "pass"
    assert check_gate(Gate.parse("t.forward_passes < 3"), passes).outcome == "fail"


@pytest.mark.parametrize(
    ("gate", "estimate", "outcome"),
    [
        ("t.acc >= 0.85", Estimate(1.0, 0.91, 1.0, n=40, n_unscored=360), "inconclusive"),
        ("t.acc >= 0.85", Estimate(0.95, 0.93, 0.97, n=1000, n_unscored=1), "pass"),
        ("t.acc <= 0.2", Estimate(0.1, 0.05, 0.15, n=100, n_unscored=40), "inconclusive"),
        ("t.acc >= 0.85", Estimate(0.5, 0.4, 0.6, n=100, n_unscored=10), "fail"),
        ("t.acc >= 0.55", Estimate(0.5, 0.4, 0.52, n=100, n_unscored=10), "inconclusive"),
    ],
)
def test_samples_that_were_not_scored_may_leave_a_gate_open(gate: str, estimate: Estimate, outcome: str) -> None:
    result = check_gate(Gate.parse(gate), _card(estimate))
    assert result.outcome == outcome
    assert f"{estimate.n_unscored} not scored" in result.detail


@pytest.mark.parametrize(
    ("gate", "estimate", "outcome"),
    [
        ("t.acc.value >= 0.85", Estimate(1.0, 0.2, 1.0, n=1, n_unscored=3), "inconclusive"),
        ("t.acc.value >= 0.85", Estimate(0.0, 0.0, 0.8, n=1, n_unscored=3), "inconclusive"),
        ("t.acc.low >= 0.85", Estimate(0.98, 0.97, 0.99, n=940, n_unscored=60), "inconclusive"),
        ("t.acc >= 0.6", Estimate(0.98, 0.97, 0.99, n=940, n_unscored=60), "inconclusive"),
        ("t.acc >= 0.6", Estimate(0.98, 0.97, 0.99, n=950, n_unscored=50), "pass"),
        ("t.acc >= 0.995", Estimate(0.5, 0.47, 0.53, n=900, n_unscored=100), "fail"),
        ("t.acc.n >= 1", Estimate(1.0, 0.2, 1.0, n=1, n_unscored=3), "pass"),
        ("t.acc.n_unscored <= 3", Estimate(1.0, 0.2, 1.0, n=1, n_unscored=3), "pass"),
    ],
)
def test_no_gate_passes_on_an_item_with_too_many_samples_without_a_score(gate: str, estimate: Estimate, outcome: str) -> None:
    result = check_gate(Gate.parse(gate), _card(estimate))
    assert result.outcome == outcome
    assert ("more than 'max_unscored' allows, 0.05 of the samples" in result.detail) is (outcome == "inconclusive")
    assert (
        check_gate(Gate.parse("t.acc.value >= 0.85"), replace(_card(Estimate(1.0, n=1, n_unscored=3)), max_unscored=0.8)).outcome == "pass"
    )


@pytest.mark.parametrize(
    ("gate", "fix"),
    [
        ("t.acc >= 90", "no run passes, because acc is at least 0 and at most 1; for 90 percent write 0.9 or 90%"),
        ("t.acc.value >= 1.5", "no run passes, because acc is at least 0 and at most 1; for 1.5 percent write 0.015 or 1.5%"),
        ("t.acc.low > 900%", "no run passes, because acc is at least 0 and at most 1; write a number that it can have"),
        ("t.acc <= 5", "every run passes, because acc is at least 0 and at most 1; for 5 percent write 0.05 or 5%"),
        ("t.acc <= -0.1", "no run passes, because acc is at least 0 and at most 1; write a number that it can have"),
        ("t.acc > -1", "every run passes, because acc is at least 0 and at most 1"),
        ("t.kappa >= -2", "every run passes, because kappa is at least -1 and at most 1"),
        ("t.queries < -1", "no run passes, because queries is at least 0"),
        ("t.acc >= 1", ""), ("t.acc > 1", ""), ("t.acc <= 0", ""), ("t.acc.n >= 90", ""), ("t.kappa > -0.5", ""), ("t.queries <= 90", ""),
        ("t.own >= 90", ""), ("t.own >= -90", ""),
    ],
)  # fmt: skip
def test_a_number_that_the_row_cannot_have_is_refused(gate: str, fix: str) -> None:
    bounds = {"acc": (0.0, 1.0), "kappa": (-1.0, 1.0), "queries": (0.0, None), "own": (None, None)}
    metric = Gate.parse(gate).metric
    card = replace(_card(WIDE, metric=metric), measures={metric: Measure("", "", True, "", *bounds[metric])})
    if fix:
        with pytest.raises(ConfigError, match=re.escape(fix)):
            check_gate(Gate.parse(gate), card)
    else:
        check_gate(Gate.parse(gate), card)


def test_a_bound_that_is_not_there_is_no_data() -> None:
    result = check_gate(Gate.parse("t.acc.low > 0"), _card(Estimate(0.8, n=3)))
    assert (result.outcome, result.verdict) == ("no_data", "no_data")
    assert "there is no low bound" in result.detail


def test_no_value_is_no_data_with_the_reason() -> None:
    empty = _card(Estimate(None, reason="all failed", n_unscored=4))
    result = check_gate(Gate.parse("t.acc >= 0"), empty)
    assert (result.outcome, result.verdict, "all failed" in result.detail) == ("no_data", "no_data", True)
    assert check_gate(Gate.parse("t.acc.n >= 1"), empty).outcome == "fail"
    assert check_gate(Gate.parse("t.acc.n_unscored <= 3"), empty).outcome == "fail"


@pytest.mark.parametrize(("policy", "code"), [("fail", 1), ("warn", 0), ("pass", 0)])
def test_inconclusive_means_what_the_gate_says(policy: str, code: int) -> None:
    result = check_gate(Gate.parse("t.acc >= 0.75", inconclusive=policy), _card(WIDE))
    assert (result.outcome, result.verdict) == ("inconclusive", policy)
    assert exit_code(decide_verdict([result])) == code
    found = re.search(r"0\.75 lies inside the interval; about (\d+) samples would decide it", result.detail)
    assert found is not None
    assert int(found[1]) > 20
    exact = check_gate(Gate.parse("t.acc >= 0.8"), _card(WIDE))
    assert "no number of samples decides it" in exact.detail


def test_large_counts_have_thousands_separators() -> None:
    close = Threshold(None, ">=", 0.499).judge(Estimate(0.5, 0.49, 0.51, 10_000))
    assert re.search(r"n = 10,000: 0\.499 lies inside the interval; about 1,000,001 samples would decide it$", close.detail)


def test_the_number_of_samples_would_decide() -> None:
    from windtunnel.harness.statistics import rate

    low, high = rate(16, 20)
    result = check_gate(Gate.parse("t.acc >= 0.7"), _card(Estimate(0.8, low, high, 20)))
    more = int(re.findall(r"about (\d+) samples", result.detail)[0])
    n = math.ceil(more * 1.5)
    assert rate(0.8 * n, n)[0] > 0.7


def test_without_a_model_all_must_pass() -> None:
    good, bad, none = Estimate(0.9, 0.85, 0.95, 50), Estimate(0.5, 0.4, 0.6, 50), Estimate(None, reason="broken")
    gate = Gate.parse("t.acc >= 0.8")
    assert check_gate(gate, _card(good, good)).verdict == "pass"
    assert check_gate(gate, _card(good, bad)).verdict == "fail"
    assert check_gate(gate, _card(good, none)).verdict == "no_data"
    assert check_gate(gate, _card(bad, none)).verdict == "fail"
    assert check_gate(Gate.parse("t.acc >= 0.85", "fail"), _card(Estimate(0.86, 0.8, 0.9, 9), none)).verdict == "fail", (
        "undecided means fail here"
    )
    assert check_gate(Gate.parse("t.acc >= 0.85", "warn"), _card(Estimate(0.86, 0.8, 0.9, 9), none)).verdict == "no_data"
    detail = check_gate(gate, _card(good, bad)).detail
    assert "m: 0.9" in detail
    assert "org/n: 0.5" in detail
    assert check_gate(Gate.parse("m/t.acc >= 0.8"), _card(good, bad)).verdict == "pass"
    assert check_gate(Gate.parse("org/n/t.acc >= 0.8"), _card(good, bad)).verdict == "fail"


def test_a_tasks_name_may_hold_slashes_and_dots() -> None:
    card = _card(WIDE, item="a/b.c", metric="f1[v1.5]")
    for path in ("a/b.c.f1[v1.5]", "m/a/b.c.f1[v1.5]", "a/b.c.f1[v1.5].low"):
        assert check_gate(Gate.parse(f"{path} >= 0.5"), card).outcome == "pass"


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ("tt.acc > 0", "the run has no item 'tt'. Did you mean 't'|no item 'tt'. Its items: t"),
        ("t.accc > 0", "'t' has no metric 'accc'. Did you mean 'acc'? It has acc"),
        ("mm/t.acc > 0", "'t' was not run on a model 'mm'"),
    ],
)
def test_a_gate_about_nothing_is_missing(check: str, message: str) -> None:
    result = check_gate(Gate.parse(check), _card(WIDE, WIDE))
    assert (result.outcome, result.verdict, exit_code(result.verdict)) == ("missing", "missing", 3)
    assert re.search(message.replace("?", r"\?"), result.detail)


def test_a_count_that_was_never_raised_is_zero() -> None:
    assert check_gate(Gate.parse("t.failures <= 0"), _card(WIDE)).outcome == "pass"
    card = _card(WIDE)
    card = replace(
        card,
        manifest={
            "items": [{"model": "m", "item": "a(t)", "kind": "attack", "key": ItemKey("attack", "t", "a").to_json(), "num_samples": 3}]
        },
    )
    assert check_gate(Gate.parse("a(t).mean_linf <= 1"), card).outcome == "no_data"


@pytest.mark.parametrize(
    ("verdicts", "whole", "code"),
    [((), "none", 0), (("pass", "warn"), "warn", 0), (("pass", "no_data", "warn"), "no_data", 3), (("no_data", "fail"), "fail", 1)],
)
def test_the_worst_gate_is_the_verdict(verdicts: tuple[str, ...], whole: str, code: int) -> None:
    from windtunnel.harness.api.scorecard import GateResult

    results = [GateResult("g", "pass", verdict, "") for verdict in verdicts]
    assert decide_verdict(results) == whole
    assert exit_code(whole) == code
    unfinished, failed = decide_verdict(results, complete=False), decide_verdict(results, mostly_failed=True)
    assert unfinished == ("fail" if whole == "fail" else "incomplete")
    assert failed == ("fail" if whole == "fail" else "no_data")
    assert {exit_code(unfinished), exit_code(failed)} == {1 if whole == "fail" else 3}


@pytest.mark.parametrize("text", ["- t.acc >= 0.5\n- {check: m/t.acc > 0.7, inconclusive: warn}\n",
                                  "name: x\ngates:\n  - t.acc >= 0.5\n  - check: m/t.acc > 0.7\n    inconclusive: warn\n"])  # fmt: skip
def test_a_file_of_gates(tmp_path: Path, text: str) -> None:
    (tmp_path / "gates.yaml").write_text(text)
    gates = load_gates(tmp_path / "gates.yaml")
    assert [g.inconclusive for g in gates] == ["fail", "warn"]
    assert [r.verdict for r in check_gates(gates, _card(WIDE))] == ["pass", "warn"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- t.acc >= 0.5\n- t.acc\n", "gates.yaml:2: 't.acc' is no gate"),
        ("gates:\n  - t.acc >= 0.5\n  - {check: t.acc > 1, policy: warn}\n", "gates.yaml:3: a gate has no key 'policy'"),
        ("- {check: t.acc > 1, inconclusive: maybe}\n", "gates.yaml:1: inconclusive: Input should be 'fail', 'warn' or 'pass'"),
        ("- {check: t.acc > 1, inconclusive: [fail]}\n", "gates.yaml:1: inconclusive: Input should be"),
        ("- {check: 3}\n", "gates.yaml:1: a gate is a check"),
        ("- 3\n", "gates.yaml:1: a gate is a check"),
        ("- [t.acc > 1\n", r"gates.yaml:\d: this is not YAML"),
        ("", "holds no gates"), ("gates: []\n", "holds no gates"), ("t.acc > 1\n", "holds no gates"),
    ],
)  # fmt: skip
def test_a_bad_file_of_gates_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "gates.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_gates(tmp_path / "gates.yaml")


def test_a_missing_file_of_gates(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_gates(tmp_path / "nowhere.yaml")
