"""The runner: one bad sample is one record, a changed model or data set is told, and hostile text stays text."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.errors import StoreError
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.items.base.planned_item import PlannedItem
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.results.write_reports import write_reports
from windtunnel.harness.run.progress import Progress
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.store import codec
from windtunnel.tests.toys import made, opened, planned, records_of, row, run, windtunnel, write_suite


def _notes(fail: str, **more: Any) -> list[dict[str, Any]]:
    return [{"task": "notes", "fail": fail, **more}]


# ── one bad sample ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fail", "error"),
    [
        ("requests:n3", "KeyError: 'no such field'"),
        ("unhashable:n3", "TypeError: .*unhashable type: 'list'|TypeError: cannot use 'list'"),
        ("text:n3", "TypeError: the task returned a str, which is not a Request"),
        ("score:n3", "ZeroDivisionError: division by zero"),
        ("word:n3", "ValueError: could not convert string to float"),
        ("object:n3", "the artifacts cannot be stored: a object cannot be recorded"),
    ],
)
def test_a_failing_sample_is_one_record(tmp_path: Path, fail: str, error: str) -> None:
    card = run(tmp_path, tasks=_notes(fail))
    good = run(tmp_path, "good")
    records, expected = records_of(tmp_path / "run")["words/notes"], records_of(tmp_path / "good")["words/notes"]
    assert [r for r in records if r.sample_id != "n3"] == [r for r in expected if r.sample_id != "n3"]
    assert re.search(error, str(records[3].error))
    estimate = row(card, "notes", "accuracy").estimate
    assert (estimate.n, estimate.n_unscored) == (11, 1)
    assert card.num_failed == 1
    assert card.first_error == f"words/notes: {records[3].error}"
    assert card.complete
    assert (good.num_failed, good.first_error) == (0, "")


def test_a_score_of_nan_is_no_score(tmp_path: Path) -> None:
    card = run(tmp_path, tasks=_notes("nan:n3,n4"))
    records = records_of(tmp_path / "run")["words/notes"]
    assert records[3].scores == {"correct": None}
    assert records[3].artifacts["unscored"] == "the task scored 'correct' as nan"
    assert card.complete


@pytest.mark.parametrize(
    ("text", "error"), [("NAN", "answered NaN or infinity in 1 of 2 numbers"), ("BOOM", "RuntimeError: the model fell over")]
)
def test_what_the_model_cannot_answer_is_one_record(tmp_path: Path, text: str, error: str) -> None:
    rows = [[f"r{i}", f"a {'good' if i % 2 else 'bad'} day {text if i == 5 else i}", i % 2] for i in range(8)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    card = run(tmp_path, tasks=[{"task": "notes", "rows": str(tmp_path / "rows.json")}], attacks=["swap"], probes=["by_length"])
    found = records_of(tmp_path / "run")
    for item in ("words/notes", "words/swap(notes)"):
        assert error in str(found[item][5].error), item
        assert [r.sample_id for r in found[item] if r.error] == ["r5"]
    estimate = row(card, "notes", "accuracy").estimate
    assert (estimate.value, estimate.n, estimate.n_unscored) == (1.0, 7, 1)
    assert row(card, "swap(notes)", "robust_accuracy").estimate.n_unscored == 1


def test_when_all_fail_there_is_no_number_but_a_reason(tmp_path: Path) -> None:
    path = write_suite(tmp_path, tasks=_notes("requests:all"), attacks=["swap"], probes=["by_length"], gates=["notes.accuracy >= 0"])
    answer = windtunnel("run", path, "--out", tmp_path / "run", "-q")
    assert answer.code == 3
    assert answer.out.startswith("NO_DATA: The gate has no data")
    card = summarise(tmp_path / "run")
    estimate = row(card, "notes", "accuracy").estimate
    assert (estimate.value, estimate.n, estimate.n_unscored) == (None, 0, 12)
    assert estimate.reason == "no sample could be scored; the first error was: KeyError: 'no such field'"
    robust = row(card, "swap(notes)", "robust_accuracy").estimate
    assert (robust.value, robust.n_unscored) == (None, 12)
    assert row(card, "by_length(notes)", "comprehensiveness").estimate.n == 0 or card.num_failed >= 24
    for gate in ("swap(notes).robust_accuracy > 0", "swap(notes).mean_num_queries < 5", "notes.accuracy.low > 0"):
        (tmp_path / "gates.yaml").write_text(f"- {gate}\n")
        assert windtunnel("gate", tmp_path / "run", tmp_path / "gates.yaml").code == 3


def test_too_many_samples_without_a_score_leave_every_gate_open(tmp_path: Path) -> None:
    path = write_suite(tmp_path, tasks=_notes("score:n3"), gates=["notes.accuracy.value >= 0.5"])
    answer = windtunnel("run", path, "--out", tmp_path / "run", "-q")
    assert answer.code == 1
    assert "words/notes: 1 of 12 samples have no accuracy, more than 'max_unscored' allows" in answer.out
    assert "the first error was: ZeroDivisionError: division by zero" in answer.out
    assert answer.out.startswith("FAIL: The gate is inconclusive: notes.accuracy.value of words")


def test_failing_samples_leave_the_exit_code_to_the_gates(tmp_path: Path) -> None:
    path = write_suite(tmp_path, tasks=_notes("score:n3"), gates=["notes.accuracy.value >= 0.5"], max_unscored=0.1)
    assert windtunnel("run", path, "--out", tmp_path / "run", "-q").code == 0
    (tmp_path / "gates.yaml").write_text("- notes.accuracy.n_unscored <= 0\n")
    assert windtunnel("gate", tmp_path / "run", tmp_path / "gates.yaml").code == 1


# ── attacks are judged, not believed ──────────────────────────────────────────────────────────────────────────────────


def _attacked(folder: Path, **attack: Any) -> tuple[Any, list[Any]]:
    card = run(folder, attacks=[{"attack": "swap", **attack}])
    return card, records_of(folder / "run")["words/swap(notes)"]


def test_an_honest_attack(tmp_path: Path) -> None:
    card, records = _attacked(tmp_path)
    wrong = [r for r in records if r.scores["clean_correct"] == 0]
    assert [r.sample_id for r in wrong] == ["n4", "n9"], "what is wrong already is not attacked"
    assert all(r.scores == {"clean_correct": 0.0, "robust_correct": 0.0, "success": None} for r in wrong)
    assert row(card, "swap(notes)", "attack_success_rate").estimate.value == 1
    assert row(card, "swap(notes)", "attack_success_rate").estimate.n == 10
    assert row(card, "swap(notes)", "robust_accuracy").estimate.value == 0
    assert row(card, "swap(notes)", "clean_accuracy").estimate.value == row(card, "notes", "accuracy").estimate.value
    assert records[0].artifacts["twin"] == "a good note number 0"


def test_claims_are_ignored(tmp_path: Path) -> None:
    card, records = _attacked(tmp_path, how="liar")
    assert row(card, "swap(notes)", "attack_success_rate").estimate.value == 0
    assert row(card, "swap(notes)", "robust_accuracy").estimate == row(card, "swap(notes)", "clean_accuracy").estimate
    assert all(r.scores["success"] == 0 for r in records if r.scores["clean_correct"])


def test_a_twin_outside_the_threat_is_a_failed_attack(tmp_path: Path) -> None:
    card, records = _attacked(tmp_path, how="outside")
    assert row(card, "swap(notes)", "attack_success_rate").estimate.value == 0
    assert row(card, "swap(notes)", "num_outside_threat").estimate.value == 10
    assert all("outside the threat" in r.artifacts["note"] for r in records if r.scores["clean_correct"])
    assert any("broke the threat model" in flag for flag in card.manifest["flags"])
    wider = run(tmp_path, "wider", attacks=[{"attack": "swap", "how": "outside", "threat": {"type": "edits", "max_words": 9}}])
    assert row(wider, "swap(notes)", "attack_success_rate").estimate.value == 1


def test_a_sample_on_which_an_attack_raises_keeps_its_clean_answer(tmp_path: Path) -> None:
    card, records = _attacked(tmp_path, how="raises")
    assert [(r.sample_id, r.error) for r in records if r.error] == [("n3", "RuntimeError: lost in the search")]
    assert records[3].scores["robust_correct"] == records[3].scores["clean_correct"] == records[3].scores["not_attacked"] == 1
    assert row(card, "swap(notes)", "num_not_attacked").estimate.value == 1
    robust = row(card, "swap(notes)", "robust_accuracy").estimate
    assert (robust.n, robust.n_unscored) == (12, 0)
    assert robust.value <= row(card, "swap(notes)", "clean_accuracy").estimate.value


@pytest.mark.parametrize("how", ["honest", "liar", "outside", "raises"])
@pytest.mark.parametrize("fail", ["", "score:n2,n7", "nan:n0"])
def test_robust_is_never_above_clean(tmp_path: Path, how: str, fail: str) -> None:
    card = run(tmp_path, tasks=_notes(fail), attacks=[{"attack": "swap", "how": how}])
    robust, clean = (row(card, "swap(notes)", name).estimate.value for name in ("robust_accuracy", "clean_accuracy"))
    assert robust is not None
    assert clean is not None
    assert robust <= clean


# ── what makes two runs the same ──────────────────────────────────────────────────────────────────────────────────────


def test_chunks_change_no_number(tmp_path: Path) -> None:
    cards = [run(tmp_path, f"run{chunk}", chunk=chunk, attacks=["swap"], probes=["by_length"]) for chunk in (1, 5, 64)]
    for card in cards[1:]:
        for one, other in zip(*([r for r in c.rows if r.dimension != "efficiency"] for c in (cards[0], card)), strict=True):
            assert one == other
    records = [codec.dumps(records_of(tmp_path / f"run{chunk}")) for chunk in (1, 5, 64)]
    assert records[0] == records[1] == records[2]


def _rows_suite(folder: Path, texts: list[str], **keys: Any) -> Path:
    (folder / "rows.json").write_text(json.dumps([[f"r{i}", text, i % 2] for i, text in enumerate(texts)]))
    return write_suite(folder, tasks=[{"task": "notes", "rows": str(folder / "rows.json")}], **keys)


@pytest.mark.parametrize("stop_early", [True, False])
def test_changed_data_is_told_also_of_a_finished_run(tmp_path: Path, stop_early: bool) -> None:
    path = _rows_suite(tmp_path, ["bad a", "good b", "bad c"], chunk=1)
    before = _begun(path, tmp_path / "run", stop_early)
    _rows_suite(tmp_path, ["bad a", "good b", "good c"], chunk=1)
    answer = windtunnel("run", path, "--out", tmp_path / "run")
    assert answer.code == 0
    assert "it was made with another data" in answer.err
    run_plan(_load(path), tmp_path / "alone")
    assert records_of(tmp_path / "run") == records_of(tmp_path / "alone") != before


def _begun(path: Path, folder: Path, stop_early: bool) -> dict[str, list[Any]]:
    """The records of a run that is finished, or was stopped after its first chunk."""
    if stop_early:
        with pytest.raises(Exception, match="stopped after the current chunk"):
            run_plan(_load(path), folder, should_stop=lambda: True)
    else:
        run_plan(_load(path), folder)
    return records_of(folder)


def _load(path: Path) -> Any:
    from windtunnel.harness.suite.load import load_suite

    return made(load_suite(path))


_TASK = """family: multiple_choice
data: {files: {test: rows.jsonl, train: shots.jsonl}, split: test}
context: "{{ q }}"
choices: [yes it is, no it is not]
target: t
num_fewshot: 1
"""


@pytest.mark.parametrize("changed", ["prompt", "examples", "nothing"])
@pytest.mark.parametrize("stop_early", [True, False])
def test_a_changed_task_file_is_told(tmp_path: Path, changed: str, stop_early: bool) -> None:
    """Its data are the same: what is asked about them, or how answers are scored, is not."""
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"q": f"Is {i} even?", "t": i % 2}) + "\n" for i in range(3)))
    (tmp_path / "shots.jsonl").write_text('{"q": "Is 8 even?", "t": 0}\n')
    (tmp_path / "mine.yaml").write_text(_TASK)
    path = write_suite(tmp_path, models=[{"model": "toy:bytes", "name": "bytes"}], tasks=["mine.yaml"], chunk=1)
    _begun(path, tmp_path / "run", stop_early)
    if changed == "prompt":
        (tmp_path / "mine.yaml").write_text(_TASK.replace("{{ q }}", "Q: {{ q }}"))
    elif changed == "examples":
        (tmp_path / "shots.jsonl").write_text('{"q": "Is 9 even?", "t": 1}\n')
    answer = windtunnel("run", path, "--out", tmp_path / "run")
    if changed == "nothing":
        assert answer.code == 0
        return
    assert answer.code == 0
    assert "it was made with another definition of its task" in answer.err
    run_plan(_load(path), tmp_path / "alone")
    assert records_of(tmp_path / "run") == records_of(tmp_path / "alone")


def test_a_changed_model_is_told_also_of_a_finished_run(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def go(texts):\n    return [[0.0, 1.0] for _ in texts]\n")
    path = write_suite(tmp_path, models=[{"model": "callable:model.py:go", "labels": ["negative", "positive"]}])
    assert windtunnel("run", path, "--out", tmp_path / "run").code == 0
    assert windtunnel("run", path, "--out", tmp_path / "run").code == 0
    before = records_of(tmp_path / "run")
    (tmp_path / "model.py").write_text("def go(texts):\n    return [[1.0, 0.0] for _ in texts]\n")
    for name in [name for name in sys.modules if name.startswith("windtunnel_file_")]:
        del sys.modules[name]
    answer = windtunnel("run", path, "--out", tmp_path / "run")
    assert answer.code == 0
    assert "it was made with another model." in answer.err
    assert records_of(tmp_path / "run") != before


def test_a_changed_plugin_is_told(tmp_path: Path) -> None:
    path = write_suite(tmp_path, attacks=["swap"])
    run_plan(_load(path), tmp_path / "run")
    with (tmp_path / "toy_plugins.py").open("a") as file:
        file.write("# changed\n")
    said: list[str] = []
    run_plan(_load(path), tmp_path / "run", say=said.append)
    assert "it was made with another plugin" in said[0]


def test_changed_gates_and_reports_are_taken_into_a_finished_run(tmp_path: Path) -> None:
    path = write_suite(tmp_path, gates=["notes.accuracy > 0"], reports=["json"])
    assert windtunnel("run", path, "--out", tmp_path / "run").code == 0
    write_suite(tmp_path, gates=["notes.accuracy.value > 0.99"], reports=["json", "ids"])
    assert windtunnel("run", path, "--out", tmp_path / "run").code == 1
    assert (tmp_path / "run" / "ids.txt").is_file()
    again = windtunnel("report", tmp_path / "run", "--plugin", tmp_path / "toy_plugins.py")
    assert again.code == 1, "the run is now about the new gate"
    assert "0.99" in (tmp_path / "run" / "suite.yaml").read_text()
    assert windtunnel("run", path, "--out", tmp_path / "run", "--gate", "notes.accuracy > 0").code == 0


def test_two_tasks_of_one_plugin_keep_their_samples_apart(tmp_path: Path) -> None:
    """They have the same name for themselves; the suite's names are what counts."""
    (tmp_path / "rows.json").write_text(json.dumps([["n0", "other bad text", 1], ["n1", "more good text", 1]]))
    tasks = [{"task": "notes", "num": 2}, {"task": "notes", "name": "more", "rows": str(tmp_path / "rows.json")}]
    card = run(tmp_path, tasks=tasks)
    with opened(tmp_path / "run") as store:
        assert [s.input for s in store.samples("notes")] == ["a bad note number 0", "a good note number 1"]
        assert [s.input for s in store.samples("more")] == ["other bad text", "more good text"]
    assert row(card, "notes", "accuracy").estimate.value == 1
    assert row(card, "more", "accuracy").estimate.value == 0.5
    assert {(v.task, v.input.text) for v in card.samples} >= {("more", "other bad text"), ("notes", "a bad note number 0")}


def test_several_models_and_what_each_can(tmp_path: Path) -> None:
    models = [{"model": "slow:a", "name": "a"}, {"model": "toy:words", "name": "b"}, {"model": "toy:bytes", "name": "c"}]
    card = run(tmp_path, models=models)
    assert {r.model for r in card.rows} == {"a", "b"}
    assert [s["model"] for s in card.manifest["skipped"]] == ["c"]
    assert "does not answer classify" in card.manifest["skipped"][0]["reason"]


def test_a_task_that_runs_itself(tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(
        "from windtunnel.harness.api.registry import plugin\nfrom windtunnel.harness.api.samples import Sample\n"
        "from windtunnel.harness.api.requests import Classify\n"
        "@plugin('tasks', 'talk')\nclass Talk:\n    requires = frozenset({'classify', 'text'}); metrics = ('exact_match',)\n"
        "    primary = 'exact_match'\n    def samples(self):\n        return [Sample(f't{i}', f'good {i}') for i in range(3)]\n"
        "    def run(self, engine, samples):\n        if any(s.id == 't1' for s in samples): raise RuntimeError('lost')\n"
        "        return [engine.run([Classify(s.input)]) for s in samples]\n"
        "    def score(self, sample, responses):\n        return {'exact_match': float(responses[0].values[1] > 0)}\n"
    )
    card = run(tmp_path, tasks=["talk"], plugins=["toy_plugins.py", "talk.py"])
    estimate = row(card, "talk", "exact_match").estimate
    assert (estimate.value, estimate.n, estimate.n_unscored) == (1.0, 2, 1)
    assert records_of(tmp_path / "run")["words/talk"][1].error == "RuntimeError: lost"


def test_a_broken_answer_cache_is_the_runs_error_and_no_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from windtunnel.harness.engine.cache import SqliteCache

    plan = planned(tmp_path, cache="answers.db", attacks=["swap"])

    def broken(self: Any, keys: Any) -> Any:
        raise StoreError("the answer cache cannot be read (disk I/O error)")

    run_plan(replace(plan, items=plan.items[:2]), tmp_path / "run")
    monkeypatch.setattr(SqliteCache, "get", broken)
    with pytest.raises(StoreError, match="the answer cache cannot be read"):
        run_plan(plan, tmp_path / "run")
    assert not any(r.error for records in records_of(tmp_path / "run").values() for r in records)
    monkeypatch.undo()
    run_plan(plan, tmp_path / "run")
    assert summarise(tmp_path / "run").num_failed == 0


def test_an_answer_cache_saves_the_work_of_another_run(tmp_path: Path) -> None:
    log = tmp_path / "log"
    models = [{"model": "slow:words", "name": "words", "log": str(log)}]
    run(tmp_path, "one", models=models, cache="answers.db", tasks=[{"task": "notes", "num": 4}], limit=4)
    asked = len(log.read_text().splitlines())
    card = run(tmp_path, "two", models=models, cache="answers.db", tasks=[{"task": "notes", "num": 4}], limit=4, seed=1)
    assert row(card, "notes", "cache_hits").estimate.value == 4
    assert row(card, "notes", "forward_passes").estimate.value == 0
    assert len(log.read_text().splitlines()) == asked, "a task that took nothing has nothing measured anew either"


# ── hostile text ──────────────────────────────────────────────────────────────────────────────────────────────────────

HOSTILE = [
    ("<script>alert(1)</script>", "good <script>alert('x')</script> </textarea>"),
    ("nul\0id", "bad \0 text"), ("lone\ud800id", "good \udfff text \ud83d"), ("rtl\u202eid", "bad \u202e txet \u2066"),
    ("esc\x1b[2Jid", "good \x1b]0;owned\x07 \x1b[31m"), ("line\nbreak\r\nid", "bad\nnew\r\nline\u2028sep"), ("", "good"),
    ("long", "good " + "word " * 100_000), ("]]>", "bad ]]> <!-- {{ x }} ${y} | `code` ![i](j)"), ("emoji👩‍👧", "good 👩‍👧 日本"),
]  # fmt: skip
LABELS = ["<b>neg</b>\x1b[1m", "pos\u202e\n| x"]
CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([[i, text, n % 2] for n, (i, text) in enumerate(HOSTILE)]))
    path = write_suite(
        tmp_path,
        models=[{"model": "slow:words", "name": "words", "labels": LABELS}],
        tasks=[{"task": "notes", "rows": str(tmp_path / "rows.json"), "labels": LABELS, "metrics": ["accuracy", "f1_per_class"]}],
        attacks=[{"attack": "swap", "limit": 7}], probes=[{"probe": "by_length", "limit": 7}],
        reports=["json", "html", "markdown", "junit", "ids"], gates=["notes.accuracy > 1"],
    )  # fmt: skip
    answer = windtunnel("run", path, "--out", tmp_path / "run")
    assert answer.code == 1, answer.err
    assert not CONTROLS.search(answer.out.replace("\n", ""))
    assert not CONTROLS.search(answer.err.replace("\n", ""))
    with opened(tmp_path / "run") as store:
        samples = list(store.samples("notes"))
        records = list(store.records(store.items()[0]))
    assert [s.input for s in samples] == [text for _, text in HOSTILE]
    assert [s.labels for s in samples] == [tuple(LABELS)] * len(HOSTILE)
    assert [s.id for s in samples] == [i.encode("utf-8", "backslashreplace").decode() for i, _ in HOSTILE]
    assert [r.sample_id for r in records] == [s.id for s in samples]
    assert not any(r.error for r in records)
    card = summarise(tmp_path / "run")
    assert [v.id for v in card.samples] == [s.id for s in samples], "ids join whatever they hold"
    assert all(v.target in LABELS for v in card.samples)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["counts"]["samples"] == len(HOSTILE)
    for name in ("scorecard.html", "summary.md", "junit.xml", "results.json"):
        text = (tmp_path / "run" / name).read_text(encoding="utf-8")
        assert "<script>alert" not in text, name
        assert not CONTROLS.search(text), name
    again = windtunnel("report", tmp_path / "run", "--json")
    assert json.loads(again.out)["verdict"] == "fail"


def test_hostile_errors_do_not_drive_the_terminal(tmp_path: Path) -> None:
    for arguments in (["show", "x\x1b[2J"], ["run", "no\x1b[2J.yaml"], ["list", "bad\x1b[2Jgroup"], ["run", "--mo\x1b[2Jdel"]):
        answer = windtunnel(*arguments)
        assert answer.code == 2
        assert "\x1b" not in answer.out + answer.err


def test_a_report_that_fails_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "from windtunnel.harness.api.registry import plugin\n@plugin('reports', 'bad')\nclass Bad:\n    suffix = 'bad.txt'\n"
        "    def render(self, scorecard): return 1 / 0\n"
        "@plugin('reports', 'lone')\nclass Lone:\n    suffix = 'lone.txt'\n    def render(self, scorecard): return '\\ud800'\n"
    )
    path = write_suite(tmp_path, plugins=["toy_plugins.py", "bad.py"], reports=["bad", "lone", "json"])
    answer = windtunnel("run", path, "--out", tmp_path / "run")
    assert answer.code == 2
    assert "the report 'bad' cannot be made (ZeroDivisionError: division by zero); the records are safe" in answer.err
    assert (tmp_path / "run" / "lone.txt").read_text() == "\\ud800"
    assert (tmp_path / "run" / "results.json").is_file()


# ── as a library ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_through_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a notebook: no command line, another thread, and nothing printed."""
    import threading

    from windtunnel.harness.plan.planner import plan
    from windtunnel.harness.suite.load import make_suite

    path = write_suite(tmp_path, gates=["notes.accuracy >= 0.5"])
    assert windtunnel("run", path, "--out", tmp_path / "cli").code == 0
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    suite = make_suite(
        {"name": "toys", "models": [{"model": "slow:words", "name": "words"}], "tasks": ["notes"], "chunk": 4,
         "plugins": ["toy_plugins.py"], "gates": ["notes.accuracy >= 0.5"]}, base=tmp_path,
    )  # fmt: skip
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            run_plan(plan(suite, Registry(suite.plugins)), Path("notebook"))
        except BaseException as error:  # noqa: BLE001 - to be seen by the test
            wrong.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not wrong
    card = summarise(Path("notebook"))
    write_reports(Path("notebook"), card)
    assert card.verdict == "pass"
    first, second = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("cli", "notebook"))
    for results in (first, second):
        del results["timing"], results["sessions"]
    assert first == second
    assert capsys.readouterr() == ("", "")


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[Any, ...]] = []

    class Listener(Progress):
        def loading(self, model: str) -> None:
            told.append(("loading", model))

        def item(self, model: str, item: str, done: int, total: int) -> None:
            told.append((model, item, done, total))

        def advance(self, num_samples: int) -> None:
            told.append(("advance", num_samples))

        def batch(self, kind: str, rows: int, tokens: int) -> None:
            told.append((kind, rows))

    plan = planned(tmp_path)
    kept: PlannedItem = plan.items[0]
    run_plan(replace(plan, items=(kept,)), tmp_path / "run", progress=Listener())
    assert told == [("loading", "words"), ("words", "notes", 0, 12), *[("classify", 4), ("advance", 4)] * 3]
