"""Plans: what would run, and everything that could not is told before any weights load."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from windtunnel.harness.api.errors import CapabilityError, ConfigError, DataError, ModelError, UnknownName, UserError
from windtunnel.harness.suite.load import load_suite, make_suite
from windtunnel.tests.toys import made, planned, windtunnel, write_plugins, write_suite

BYTES = {"model": "toy:bytes", "name": "bytes"}
WORDS = {"model": "slow:words", "name": "words"}
SMALL = "from windtunnel.harness.api.registry import plugin\nfrom windtunnel.harness.api.samples import Sample\n"


@pytest.mark.parametrize(
    ("keys", "kind", "message"),
    [
        ({"tasks": ["nots"]}, UnknownName, "toys.yaml:5: there is no task 'nots'. Did you mean 'notes'"),
        ({"attacks": ["swop"]}, UnknownName, "there is no attack 'swop'. Did you mean 'swap'"),
        ({"probes": ["by_lenght"]}, UnknownName, "there is no probe 'by_lenght'. Did you mean 'by_length'"),
        ({"tasks": ["swap"]}, UnknownName, "there is no task 'swap'. 'swap' is the name of an attack."),
        ({"attacks": ["by_length"]}, UnknownName, "there is no attack 'by_length'. 'by_length' is the name of a probe."),
        ({"probes": ["notes"]}, UnknownName, "there is no probe 'notes'. 'notes' is the name of a task."),
        ({"tasks": ["text_classification"]}, UnknownName,
         "'text_classification' is a family: a kind of task, which a task file of yours names with 'family: text_classification' "
         r"\('windtunnel show text_classification' shows its keys\); its tasks: ag_news, "),
        ({"models": ["tyo:words"]}, UnknownName, "toys.yaml:2: there is no model 'tyo'. Did you mean 'toy'"),
        ({"models": ["toy:word"]}, ModelError, "toys.yaml:2: there is no toy 'word'. Did you mean 'words'"),
        ({"reports": [{"report": "html", "max_mb": "five"}]}, ConfigError, r"toys.yaml:\d+: report 'html': max_mb must be a number"),
        ({"reports": [{"report": "html", "mb": 5}]}, ConfigError, r"toys.yaml:\d+: report 'html' has no setting 'mb'. .* max_mb"),
        ({"reports": [{"report": "html", "max_mb": 0}]}, ConfigError, r"toys.yaml:\d+: max_mb is the largest size"),
        ({"reports": ["html", {"report": "html", "max_mb": 5}]}, ConfigError, "the report 'html' is named twice"),
        ({"reports": ["json", "htm"]}, UnknownName, r"toys.yaml:\d+: there is no report 'htm'. Did you mean 'html'"),
        ({"tasks": [{"task": "notes", "metrics": ["acuracy"]}]}, UnknownName, "there is no metric 'acuracy'. Did you mean 'accuracy'"),
        ({"tasks": [{"task": "notes", "nmu": 3}]}, ConfigError, "toys.yaml:6: task 'notes' has no setting 'nmu'. Did you mean 'num'"),
        ({"tasks": [{"task": "notes", "limt": 3}]}, ConfigError, "has no setting 'limt'. Did you mean 'limit'"),
        ({"models": [{"model": "slow:words", "sleep": 1}]}, ConfigError, "toys.yaml:3: model 'slow' has no setting 'sleep'. Did you mean"),
        ({"models": [{"model": "slow:words", "target": "x"}]}, ConfigError, "toys.yaml:3: model 'slow:words': 'target' is no setting"),
        ({"tasks": [{"task": "nowhere.yaml"}]}, ConfigError, "toys.yaml:5: task file .*nowhere.yaml does not exist"),
        ({"tasks": [{"task": "notes", "num": 0}]}, DataError, "toys.yaml:5: task 'notes' has no samples"),
        ({"tasks": [{"task": "notes", "fail": "samples"}]}, DataError, "task 'notes' cannot give its samples: RuntimeError: no data today"),
        ({"tasks": [{"task": "notes", "models": ["word"]}]}, UnknownName, "wants the model 'word'.*Did you mean 'words'"),
        ({"attacks": [{"attack": "swap", "tasks": ["note"]}]}, UnknownName, "is to run on the task 'note'.*Did you mean 'notes'"),
        ({"attacks": [{"attack": "swap", "models": ["wrods"]}]}, UnknownName, "attack 'swap' wants the model 'wrods'.*'words'"),
        ({"attacks": [{"attack": "swap", "threat": {"type": "edit"}}]}, ConfigError, "must be one of lp, edits.*Did you mean 'edits'"),
        ({"attacks": [{"attack": "swap", "threat": {"type": "edits", "max_word": 1}}]}, ConfigError, "no setting 'max_word'. Did you mean"),
        ({"attacks": [{"attack": "swap", "threat": {"type": "edits", "max_share": 30}}]}, ConfigError,
             "toys.yaml:10: threat 'edits': max_share must be a number from 0 to 1, or nothing, not 30; write 0.3 for 30 percent"),
            ({"attacks": [{"attack": "swap", "threat": {"type": "lp", "epsilon": 0.1}}]}, ConfigError,
             "toys.yaml:10: the attack 'swap' needs a threat of type edits, not 'lp'"),
            ({"attacks": ["swap", "swap"]}, ConfigError, r"two entries are called 'swap\(notes\)'"),
        ({"models": ["toy:bytes"]}, CapabilityError,
         r"task 'notes' cannot run on model 'bytes': it does not answer classify \(it answers generate, loglikelihood"),
        ({"models": [WORDS, BYTES], "tasks": [{"task": "notes", "models": ["bytes"]}]}, CapabilityError, "cannot run on model 'bytes'"),
        ({"tasks": [{"task": "notes", "labels": ["sad", "glad"]}]}, ModelError,
         r"task 'notes' on model 'words': the task's labels \(sad, glad\) are not the model's \(negative, positive\)"),
        ({"plugins": ["toy_plugins.py", "nowhere.py"]}, ConfigError, r"there is no plugin file .*nowhere\.py"),
        ({"gates": ["notes.accuracy = 1"]}, ConfigError, r"toys.yaml:\d+: 'notes.accuracy = 1' is no gate; write it as"),
        ({"gates": ["nots.accuracy > 0"]}, ConfigError, "the run has no item 'nots'. Did you mean 'notes'"),
        ({"gates": ["notes.acuracy > 0"]}, ConfigError, "'notes' has no metric 'acuracy'. Did you mean 'accuracy'"),
        ({"gates": ["word/notes.accuracy > 0"]}, ConfigError, "was not run on a model 'word'. Did you mean 'words'"),
        ({"gates": ["swap(notes).robust_accuracy > 0"]}, ConfigError, r"the run has no item 'swap\(notes\)'"),
        ({"gates": ["notes.accuracy >= 90"]}, ConfigError, "for 90 percent write 0.9 or 90%"),
        ({"gates": ["notes.failures < -1"]}, ConfigError, "no run passes, because failures is at least 0"),
        ({"attacks": ["swap"], "gates": ["swap(notes).robust_accuracy.low > 35"]}, ConfigError, "for 35 percent write 0.35 or 35%"),
        ({"attacks": ["swap"], "gates": ["swap(notes).robust_acc > 0"]}, ConfigError,
         r"'swap\(notes\)' has no metric 'robust_acc'. Did you mean 'robust_accuracy'"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_told_first(tmp_path: Path, keys: dict[str, Any], kind: type[UserError], message: str) -> None:
    with pytest.raises(kind, match=message):
        planned(tmp_path, **keys).require_possible()
    for verb in ("plan", "run"):
        answer = windtunnel(verb, tmp_path / "toys.yaml", *(["--out", tmp_path / "run"] if verb == "run" else []))
        assert answer.code == 2
        assert (answer.out == "") is (verb == "run" or kind is not CapabilityError)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "gate",
    ["notes.accuracy > 0", "words/notes.accuracy.low > 0", "notes.failures <= 0", "swap(notes).mean_num_queries < 9",
     "by_length(notes).sufficiency_random < 1", "batch_invariance(notes).max_batch_drift < 0.01", "notes.f1[positive] > 0"],
)  # fmt: skip
def test_gates_that_can_be_answered_pass_the_plan(tmp_path: Path, gate: str) -> None:
    tasks = [{"task": "notes", "metrics": ["accuracy", "f1_per_class"]}]
    assert planned(tmp_path, tasks=tasks, attacks=["swap"], probes=["by_length"], gates=[gate]).items


def test_a_function_that_is_no_factory_is_told_from_one(tmp_path: Path) -> None:
    plugin = SMALL + '@plugin("metrics", "mine")\ndef mine(predictions, references):\n    return {"mine": 1.0}\n'
    (tmp_path / "metric.py").write_text(plugin)
    with pytest.raises(
        ConfigError, match=r"metric 'mine' is the function mine\(predictions, references\), which is called with its settings"
    ):
        planned(tmp_path, plugins=["toy_plugins.py", "metric.py"], tasks=[{"task": "notes", "metrics": ["mine"]}])


def test_a_model_that_cannot_is_skipped_with_the_reason(tmp_path: Path) -> None:
    plan = planned(tmp_path, models=[WORDS, BYTES], attacks=["swap"])
    assert [(s.model, s.item) for s in plan.skipped] == [("bytes", "notes")]
    assert plan.skipped[0].reason == "does not answer classify (it answers generate, loglikelihood and rolling_loglikelihood)"
    assert {i.model.name for i in plan.items} == {"words"}


def test_an_attack_may_name_a_model_that_runs_only_some_tasks(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        models=[WORDS, {"model": "slow:x", "name": "other"}],
        tasks=[{"task": "notes", "models": ["words"]}, {"task": "notes", "name": "more"}],
        attacks=[{"attack": "swap", "models": ["other"]}],
    )
    assert [(i.model.name, i.item) for i in plan.items if i.kind.name == "attack"] == [("other", "swap(more)")]


def test_limits_and_counts(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        limit=7,
        tasks=[{"task": "notes", "num": 20}, {"task": "notes", "name": "few", "limit": 3}],
        attacks=[{"attack": "swap", "limit": 2, "tasks": ["notes"]}],
    )
    sizes = {i.item: (len(i.samples), i.num_requests) for i in plan.items}
    assert sizes == {
        "notes": (7, 7), "few": (3, 3), "batch_invariance(notes)": (7, 7), "batch_invariance(few)": (3, 3), "swap(notes)": (2, None)
    }  # fmt: skip


def test_planning_is_pure(tmp_path: Path) -> None:
    suite = load_suite(write_suite(tmp_path, attacks=["swap"]))
    before = sorted(tmp_path.iterdir())
    first, second = made(suite), made(suite)
    assert [(i.item, i.seed, i.origin, [s.id for s in i.samples]) for i in first.items] == [
        (i.item, i.seed, i.origin, [s.id for s in i.samples]) for i in second.items
    ]
    assert [p for p in sorted(tmp_path.iterdir()) if p.name != "__pycache__"] == [p for p in before if p.name != "__pycache__"]


def test_two_samples_of_one_id(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([["a", "x", 0], ["a", "y", 1]]))
    with pytest.raises(DataError, match="task 'notes' gives several samples one id: 'a' for 2"):
        planned(tmp_path, tasks=[{"task": "notes", "rows": str(tmp_path / "rows.json")}])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("@plugin('tasks', 'mini')\nclass A: pass", "the task 'mini' has no 'requires'"),
        ("@plugin('tasks', 'mini')\nclass A:\n    requires = ['text']; metrics = (); primary = ''\n"
         "    samples = score = requests = lambda *given: None", r"requires is a frozenset of capabilities, not \['text'\]"),
        ("@plugin('tasks', 'mini')\nclass A:\n    requires = frozenset(); metrics = (); primary = ''\n    samples = score = None",
         "the task 'mini' has no 'requests"),
    ],
)  # fmt: skip
def test_an_unfinished_plugin_is_told(tmp_path: Path, body: str, message: str) -> None:
    (tmp_path / "small.py").write_text(f"{SMALL}{body}\n")
    suite = make_suite({"models": ["toy:words"], "tasks": ["mini"], "plugins": ["small.py"]}, base=tmp_path)
    with pytest.raises(ConfigError, match=message):
        made(suite)


def test_an_attack_without_a_threat_wants_one(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(
        f"{SMALL}@plugin('attacks', 'bare')\nclass A:\n    requires = frozenset({{'classify', 'text'}})\n"
        "    def perturb(self, engine, samples, threat, rng): pass\n"
    )
    keys: dict[str, Any] = {"plugins": ["toy_plugins.py", "small.py"]}
    with pytest.raises(ConfigError, match=r"the attack 'bare' has no default threat; set one: threat: {type: lp | edits"):
        planned(tmp_path, attacks=["bare"], **keys)
    assert (
        planned(tmp_path, attacks=[{"attack": "bare", "threat": {"type": "edits", "max_words": 1}}], **keys).items[-1].threat.max_words == 1
    )


def test_a_model_that_cannot_be_inspected(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(
        f"{SMALL}@plugin('models', 'bad')\nclass A:\n    def __init__(self, target): pass\n"
        "    def load(self, device, dtype): pass\n    def inspect(self): 1 / 0\n"
    )
    with pytest.raises(ModelError, match="model 'bad:x' cannot be inspected: ZeroDivisionError"):
        planned(tmp_path, models=["bad:x"], plugins=["toy_plugins.py", "small.py"])


def test_plan_is_shown_as_text_and_json(tmp_path: Path) -> None:
    path = write_suite(tmp_path, models=[WORDS, BYTES], attacks=["swap"])
    text = windtunnel("plan", path)
    assert text.code == 0
    assert "swap(notes)" in text.out
    assert "not notes: does not answer classify" in text.out
    shown = json.loads(windtunnel("plan", path, "--json").out)
    assert shown["identity"] == load_suite(path).identity()
    assert [i["item"] for i in shown["items"]] == ["notes", "batch_invariance(notes)", "swap(notes)"]
    assert shown["skipped"][0]["model"] == "bytes"


def test_a_plan_says_which_items_are_derived_and_how_to_leave_them_out(tmp_path: Path) -> None:
    path = write_suite(tmp_path, attacks=["swap"], probes=["occlusion"])
    text = windtunnel("plan", path).out
    (note,) = [line for line in text.splitlines() if line.startswith("note: explanation_shift: no entry asks for it. Without it: ")]
    remedy = note.partition("Without it: ")[2]
    shown = windtunnel("plan", path, "--measure").out
    assert re.search(r"explanation_shift\(.*about [0-9.]+ s \(", shown)
    smaller = write_suite(tmp_path, attacks=["swap"], probes=["occlusion"], **yaml.safe_load(remedy))
    assert "explanation_shift" not in windtunnel("plan", smaller).out
    unchecked = write_suite(tmp_path, check_drift=False)
    assert "batch_invariance" not in windtunnel("plan", unchecked).out


def test_a_plan_takes_every_option_of_a_run(tmp_path: Path) -> None:
    path = write_suite(tmp_path)
    options = [
        "--limit",
        5,
        "--seed",
        3,
        "--device",
        "cpu",
        "--dtype",
        "float32",
        "--gate",
        "notes.accuracy > 0",
        "--cache",
        tmp_path / "c",
    ]
    shown = json.loads(windtunnel("plan", path, *options, "--json").out)
    assert shown["items"][0]["num_samples"] == 5
    write_plugins(tmp_path)


def test_a_plan_shows_what_can_run_and_what_cannot(tmp_path: Path) -> None:
    """The rest of the plan is shown beside what is impossible; a run of it does not begin."""
    path = write_suite(tmp_path, models=["toy:words"], tasks=["notes", {"task": "lambada", "data": {"files": "rows.jsonl"}}])
    (tmp_path / "rows.jsonl").write_text('{"text": "the wind blows the kite"}\n')
    answer = windtunnel("plan", path)
    assert answer.code == 2
    assert re.search(r"notes +\d+ samples", answer.out)
    assert "impossible:" in answer.out
    assert "task 'lambada' cannot run on model 'words': it does not answer loglikelihood" in answer.out
    answer = windtunnel("run", path, "--out", tmp_path / "run")
    assert answer.code == 2
    assert "task 'lambada' cannot run on model 'words'" in answer.err
    assert not (tmp_path / "run").exists()
