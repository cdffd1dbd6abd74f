"""An item ends as soon as its gates are decided, and its intervals hold nevertheless."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.errors import ConfigError, IncompleteRun
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.scorecard.gates import parse_entry
from windtunnel.harness.statistics.fixed_looks import find_tails, mean_at_look
from windtunnel.harness.statistics.sequential import mean_at_any_time
from windtunnel.tests.toys import opened, planned, row, run, windtunnel, write_suite

NUM = 400
DROP: dict[str, Any] = {"check": "mail.accuracy", "drop": 0.1}


def _write(folder: Path, /, **keys: Any) -> dict[str, Any]:
    """Write a task whose every fifth label is wrong, and return the keys of its suite."""
    rows = [{"text": f"a {('bad', 'good')[i % 2]} note number {i}", "label": (i + (i % 5 == 4)) % 2} for i in range(NUM)]
    (folder / "mail.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = {
        "family": "text_classification", "data": {"files": "mail.jsonl"}, "text": "{{ text }}", "label": "label",
        "labels": ["negative", "positive"], "shuffle": 0, "metrics": ["accuracy", "f1_macro"],
    }  # fmt: skip
    (folder / "mail.yaml").write_text(json.dumps(task), encoding="utf-8")
    return {"tasks": ["mail.yaml"], "stop": "decided", "gates": ["mail.accuracy >= 0.5"], "chunk": 20, **keys}


def test_an_item_ends_when_its_gate_is_decided(tmp_path: Path) -> None:
    card = run(tmp_path, **_write(tmp_path))
    found = row(card, "mail", "accuracy").estimate
    assert (card.verdict, card.complete) == ("pass", True)
    assert 20 <= found.n < NUM / 2
    right = round((found.value or 0.0) * found.n)
    again = mean_at_any_time([1.0] * right + [0.0] * (found.n - right))
    assert (found.low, found.high) == (again.low, again.high)
    assert "holds at any number of samples" in found.reason
    f1 = row(card, "mail", "f1_macro").estimate
    assert (f1.low, f1.high) == (None, None)
    assert "may end early" in f1.reason


def test_an_item_may_end_at_a_fixed_look(tmp_path: Path) -> None:
    keys = _write(tmp_path, stop={"decided": {"looks": 4}}, gates=["mail.accuracy >= 0.6"], chunk=64)
    card = run(tmp_path, **keys)
    found = row(card, "mail", "accuracy").estimate
    assert (card.verdict, card.complete, found.n) == ("pass", True, NUM // 4 * 2)
    right = round((found.value or 0.0) * found.n)
    again = mean_at_look(np.repeat([1.0, 0.0], [right, found.n - right]), 0.0, 1.0, find_tails(4)[1])
    assert (found.low, found.high) == (pytest.approx(again.low), pytest.approx(again.high))
    assert "holds at 4 fixed looks" in found.reason


def test_a_run_with_looks_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    keys = _write(tmp_path, stop={"decided": {"looks": 3}}, gates=["mail.accuracy >= 0.6"], chunk=64)
    whole, plan = run(tmp_path, **keys), planned(tmp_path, **keys)
    stops = iter([False, True])
    with pytest.raises(IncompleteRun):
        run_plan(plan, tmp_path / "killed", should_stop=lambda: next(stops))
    assert not summarise(tmp_path / "killed", registry=Registry(plan.suite.plugins)).complete
    run_plan(plan, tmp_path / "killed")
    assert summarise(tmp_path / "killed", registry=Registry(plan.suite.plugins)).rows == whole.rows


def test_an_undecided_gate_runs_to_the_last_sample(tmp_path: Path) -> None:
    card = run(tmp_path, **_write(tmp_path, gates=[{"check": "mail.accuracy >= 0.79", "inconclusive": "warn"}]))
    assert row(card, "mail", "accuracy").estimate.n == NUM
    assert (card.verdict, card.complete) == ("warn", True)


def test_all_gates_of_an_item_must_be_decided(tmp_path: Path) -> None:
    gates = ["mail.accuracy >= 0.5", {"check": "mail.accuracy <= 0.81", "inconclusive": "pass"}, "mail.accuracy.n >= 10"]
    card = run(tmp_path, **_write(tmp_path, gates=gates))
    assert row(card, "mail", "accuracy").estimate.n == NUM


def test_an_item_with_a_gate_against_a_baseline_runs_to_the_last_sample(tmp_path: Path) -> None:
    keys = _write(tmp_path)
    card = run(tmp_path, out="before", **{**keys, "stop": None})
    gates = ["mail.accuracy >= 0.5", {"check": "mail.accuracy", "drop": 0.1}]
    again = run(tmp_path, **{**keys, "gates": gates, "baseline": str(tmp_path / "before")})
    assert row(again, "mail", "accuracy").estimate == row(card, "mail", "accuracy").estimate
    assert [gate.outcome for gate in again.gates] == ["pass", "pass"]
    suite = write_suite(tmp_path, **{**keys, "gates": gates, "baseline": str(tmp_path / "before")})
    assert (
        "words/mail: it runs to its last sample: gates against a baseline are decided at fixed looks only" in windtunnel("plan", suite).out
    )


def test_a_gate_against_a_baseline_may_end_an_item_at_a_fixed_look(tmp_path: Path) -> None:
    """The run ends where its own paired interval at that look decides, a report says the same, and another gate is judged by it."""
    keys = _write(tmp_path)
    run(tmp_path, out="before", **{**keys, "stop": None})
    looks = {"stop": {"decided": {"looks": 4}}, "baseline": str(tmp_path / "before"), "chunk": 64}
    card = run(tmp_path, **{**keys, **looks, "gates": [{"check": "mail.accuracy", "drop": 0.05}]})
    (judged,) = card.gates[0].rows
    tail = find_tails(4)[1]
    assert (card.verdict, card.complete, judged.n) == ("pass", True, NUM // 4 * 2)
    assert (judged.value, judged.low) == (0.0, pytest.approx(tail ** (1 / judged.n) - 1, abs=1e-3))
    assert summarise(tmp_path / "run", registry=Registry((tmp_path / "toy_plugins.py",))).gates == card.gates
    stricter = summarise(tmp_path / "run", gates=[parse_entry({"check": "mail.accuracy", "drop": 0.03})])
    assert (stricter.complete, stricter.gates[0].outcome) == (True, "inconclusive")
    times = run(tmp_path, out="times", **{**keys, **looks, "gates": [{"check": "mail.accuracy", "drop": 0.001, "inconclusive": "warn"}]})
    assert (times.gates[0].rows[0].n, times.complete) == (NUM, True)


def test_a_run_that_ended_early_is_not_continued(tmp_path: Path) -> None:
    path = write_suite(tmp_path, **_write(tmp_path))
    first = windtunnel("run", path, "--out", tmp_path / "run", "-q")
    with opened(tmp_path / "run") as store:
        before = [store.count(item) for item in store.items()]
    again = windtunnel("run", path, "--out", tmp_path / "run", "-q")
    with opened(tmp_path / "run") as store:
        assert [store.count(item) for item in store.items()] == before
    assert (first.code, again.code) == (0, 0)
    assert sum(before) < 2 * NUM


def test_items_that_read_the_records_of_an_ended_one_have_as_many_samples(tmp_path: Path) -> None:
    """The transfer of an attack's twins to another model needs the twins."""
    keys = _write(
        tmp_path, attacks=[{"attack": "swap", "transfer": True}], gates=["words/swap(mail).robust_accuracy <= 0.9"],
        models=[{"model": "slow:words", "name": "words"}, {"model": "toy:words", "name": "others"}],
    )  # fmt: skip
    card = run(tmp_path, **keys)
    with opened(tmp_path / "run") as store:
        counts = {(item.model, item.item): store.count(item) for item in store.items()}
    assert card.complete
    assert counts["words", "mail"] == NUM
    ended = counts["words", "swap(mail)"]
    assert ended < NUM
    moved = [num for (model, item), num in counts.items() if model == "others" and "swap" in item and "words" in item]
    assert moved == [ended]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"gates": []}, "needs a gate on an interval"),
        ({"stop": "soon"}, "write decided, or {decided: {looks: 4}} for 2 to 20 fixed looks, not 'soon'"),
        ({"stop": {"decided": {"looks": 1}}}, "for 2 to 20 fixed looks"),
        ({"gates": ["mail.accuracy.value >= 0.5"]}, "needs a gate on an interval"),
        ({"gates": [DROP], "baseline": "before"}, "gates against a baseline are decided at fixed looks only"),
        (
            {"gates": [DROP, {"check": "mail.f1_macro", "drop": 0.1}], "baseline": "before", "stop": {"decided": {"looks": 4}}},
            "f1_macro is no mean of bounded scores",
        ),
        ({"tasks": [{"task": "mail.yaml", "shuffle": False}]}, "set 'shuffle: 0'"),
    ],
)
def test_the_plan_refuses_what_cannot_be_decided(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(tmp_path, **_write(tmp_path, **keys))
