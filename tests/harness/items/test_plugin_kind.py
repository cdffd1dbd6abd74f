"""A new kind of item from a plugin file: planned, run, resumed, gated and shown without a change to the harness."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import windtunnel as wt
from windtunnel.harness.api.errors import ConfigError, IncompleteRun
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.items.kinds import KINDS, list_kinds
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.store import FILE_NAME, Store
from windtunnel.harness.suite.load import load_suite
from windtunnel.tests.toys import made, windtunnel, write_suite

SHOUTING = '''
"""Whether a classifier keeps its answer when the text is written in capitals."""

from dataclasses import replace

import windtunnel as wt


@wt.plugin("items", "shouting")
class Shouting(wt.ItemKind):
    """For each task of texts with classes: its samples in capitals."""

    is_joined = True
    dimension = "robustness"
    scores = {"kept": ("answer_kept_in_capitals", True)}
    row_names = ("answers_lost_in_capitals",)

    def derive(self, planned):
        for task in planned.task_items():
            if {"text", "classify"} <= task.task.task.requires:
                yield self.derive_from(task, program="shouting", suite_seed=planned.suite.seed, num_requests=len(task.samples))

    def records(self, run, samples):
        (task,) = run.item.rests_on
        before = run.records_of(task, samples)
        loud = [sample.input.upper() for sample in samples]
        answers = run.engine.try_run([wt.Classify(text, s.labels) for text, s in zip(loud, samples)])
        return [self._record(run, s, text, before[s.id], answer) for s, text, answer in zip(samples, loud, answers)]

    def _record(self, run, sample, text, before, answer):
        if isinstance(answer, wt.Failure):
            return wt.Record(sample.id, run.name, {}, answer.error)
        predicted = max(range(len(answer.values)), key=answer.values.__getitem__)
        kept = float(predicted == before.artifacts["prediction"])
        return wt.Record(sample.id, run.name, {"kept": kept}, artifacts={"prediction": predicted, "twin": text})

    def joint_rows(self, results, rows):
        for item in results.of_kind(self):
            lost = sum(record.scores.get("kept") == 0 for record in results.store.records(item))
            estimate = wt.Estimate(float(lost), n=item.num_samples)
            rows = [*rows, wt.Row(item.model, item.key, "answers_lost_in_capitals", "robustness", estimate, False)]
        return rows

    def flags(self, results):
        for item in results.of_kind(self):
            if results.estimate(item, "answer_kept_in_capitals").value < 0.5:
                yield f"{item.model}/{item.item}: capitals change most answers."

    def view(self, seen):
        kept = seen.record.scores.get("kept")
        shown = wt.Shown("text", text=str(seen.record.artifacts.get("twin", "")))
        return wt.Twin("capitals", shown, str(seen.record.artifacts.get("prediction")), None if kept is None else kept == 0)
'''
"""The answer "no" to capitals: the toy model knows words in small letters only."""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    assert len(SHOUTING.strip().splitlines()) < 60
    (tmp_path / "shouting.py").write_text(SHOUTING)
    gates = ["shouting(notes).answer_kept_in_capitals >= 0.9", "shouting(notes).answers_lost_in_capitals.value <= 100"]
    return write_suite(tmp_path, plugins=["toy_plugins.py", "shouting.py"], gates=gates, chunk=5)


def test_a_plugin_brings_a_kind_of_item(suite: Path, tmp_path: Path) -> None:
    found = windtunnel("plan", suite)
    assert "shouting(notes)" in found.out
    out = tmp_path / "run"
    answer = windtunnel("run", suite, "--out", out, "-q")
    assert answer.code in (0, 1), answer.err
    rows = {(r["item"], r["metric"]): r for r in json.loads((out / "results.json").read_text())["rows"]}
    row = rows["shouting(notes)", "answer_kept_in_capitals"]
    store = Store.open(out / FILE_NAME, readonly=True)
    item = next(i for i in store.items() if i.kind == "shouting")
    scores = [record.scores["kept"] for record in store.records(item)]
    store.close()
    assert row["estimate"]["value"] == pytest.approx(sum(s for s in scores if s is not None) / len(scores))
    assert row["key"] == {"kind": "shouting", "task": "notes", "program": "shouting", "about": [{"kind": "task", "task": "notes"}]}
    assert rows["shouting(notes)", "answers_lost_in_capitals"]["estimate"]["value"] == scores.count(0.0)
    assert ("shouting(notes)", "forward_passes") in rows
    twins = [twin for view in wt.load(out, plugins=[str(tmp_path / "shouting.py")]).scorecard.samples for twin in view.twins]
    assert {twin.attack for twin in twins} == {"capitals"}
    assert all(twin.input is not None and twin.input.text.isupper() for twin in twins)
    frame = wt.load(out).samples()
    assert set(frame[frame.kind == "shouting"]["score.kept"].dropna()) <= {0.0, 1.0}


def test_records_of_an_unknown_kind_have_the_rows_of_their_cost_and_say_so(suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    windtunnel("run", suite, "--out", out, "-q")
    card = summarise(out)
    assert {row.dimension for row in card.rows if row.key.kind == "shouting"} == {"efficiency"}
    assert any(
        "shouting(notes): records load no code, so that the item only has rows about costs: pass the run's plugin" in flag
        for flag in card.manifest["flags"]
    )
    assert [gate.outcome for gate in card.gates] == ["no_data", "no_data"]
    assert card.complete


def test_a_gate_on_a_row_that_the_kind_cannot_have_is_an_error_of_the_plan(suite: Path) -> None:
    suite.write_text(suite.read_text().replace("answer_kept_in_capitals >=", "answer_kept >="))
    answer = windtunnel("plan", suite)
    assert answer.code == 2
    assert "has no metric 'answer_kept'. Did you mean 'answer_kept_in_capitals'" in answer.err


def test_a_stopped_run_goes_on(suite: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert windtunnel("run", suite, "--out", whole, "-q").code in (0, 1)
    for _ in range(12):
        try:
            run_plan(made(load_suite(suite)), parts, should_stop=lambda: True)
            break
        except IncompleteRun:
            pass
    kinds = str(tmp_path / "shouting.py")
    rows = [[(r.item, r.name, r.estimate) for r in wt.load(place, plugins=[kinds]).scorecard.rows] for place in (whole, parts)]
    assert rows[0] == rows[1]


def test_what_is_no_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "none.py"
    file.write_text("import windtunnel as wt\n\n@wt.plugin('items', 'thing')\nclass Thing:\n    pass\n")
    registry = Registry((str(file),))
    with pytest.raises(ConfigError, match=r"'thing' is a Thing: derive its class from windtunnel.ItemKind"):
        list_kinds(registry)


def test_names_of_kinds_and_rows_are_the_tables() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert {kind.section for kind in KINDS} == {"", "tasks", "attacks", "probes"}
