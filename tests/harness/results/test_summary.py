"""What is computed from the records: rows, frames, flags, and the same bytes each time."""

from __future__ import annotations

import importlib.util
import json
import os
import py_compile
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.results.frames import Run
from windtunnel.harness.results.summarise import summarise
from windtunnel.tests.toys import opened, planned, row, run, windtunnel, write_suite

KEYS: dict[str, Any] = {"attacks": ["swap"], "probes": [{"probe": "by_length", "limit": 5}], "gates": ["notes.accuracy > 0"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("summary")
    assert windtunnel("run", write_suite(folder, **KEYS), "--out", folder / "run", "-q").code == 0
    return folder / "run"


def test_samples_are_one_row_a_sample_and_item(finished: Path) -> None:
    frame = Run.load(finished).samples()
    expected = {"notes": 12, "batch_invariance(notes)": 8, "swap(notes)": 12, "by_length(notes)": 5}
    expected |= {"explanation_shift(by_length(notes), swap(notes))": 5, "word_reliance(by_length(notes))": 5}
    assert frame.groupby("item").size().to_dict() == expected
    assert not frame.duplicated(["model", "item", "sample_id"]).any()
    assert list(frame.columns[:7]) == ["model", "item", "kind", "task", "sample_id", "target", "error"]
    assert list(frame.columns[-4:]) == ["model_fingerprint", "data_fingerprint", "plugin", "seed"]
    scores = [c for c in frame.columns if c.startswith("score.")]
    assert {"score.correct", "score.success", "score.robust_correct", "score.comprehensiveness"} <= set(scores)
    assert all(frame[c].dtype == "float64" for c in scores)
    assert frame["error"].isna().all()
    assert frame["plugin"][frame["kind"] == "attack"].str.startswith("toy_plugins.py sha256:").all()


def test_items_join_by_sample_id(finished: Path) -> None:
    frame = Run.load(finished).samples()
    clean, attacked = (frame[frame["item"] == i].set_index("sample_id") for i in ("notes", "swap(notes)"))
    joined = clean[["score.correct", "target"]].join(attacked[["score.clean_correct", "score.success"]], how="inner")
    assert len(joined) == 12
    pd.testing.assert_series_equal(joined["score.correct"], joined["score.clean_correct"], check_names=False)
    assert joined.loc["n0", "target"] == 0


def test_metrics_are_the_rows(finished: Path) -> None:
    frame = Run.load(finished).metrics()
    card = summarise(finished)
    assert len(frame) == len(card.rows)
    assert list(frame.columns) == ["model", "item", "metric", "dimension", "value", "low", "high", "n", "n_unscored", "reason"]
    assert {str(frame[c].dtype) for c in ("value", "low", "high")} == {"float64"}
    assert {str(frame[c].dtype) for c in ("n", "n_unscored")} == {"int64"}
    one = frame[(frame["item"] == "notes") & (frame["metric"] == "accuracy")].iloc[0]
    estimate = row(card, "notes", "accuracy").estimate
    assert (one["value"], one["low"], one["high"], one["n"]) == (estimate.value, estimate.low, estimate.high, estimate.n)


def test_frames_of_a_run_without_records(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    from windtunnel.harness.run.run_folder import open_store

    (tmp_path / "run").mkdir()
    open_store(plan, tmp_path / "run", print).close()
    loaded = Run.load(tmp_path / "run")
    assert list(loaded.samples().columns)[:5] == ["model", "item", "kind", "task", "sample_id"]
    assert loaded.metrics()["value"].dtype == "float64"
    assert not summarise(tmp_path / "run").complete
    answer = windtunnel("report", tmp_path / "run")
    assert answer.code in (2, 3)
    with pytest.raises(ConfigError, match="there is no run at"):
        Run.load(tmp_path / "nowhere")


def test_an_artifact_hides_no_column(tmp_path: Path) -> None:
    (tmp_path / "named.py").write_text(
        "from windtunnel.harness.api.registry import plugin\nfrom windtunnel.harness.api.samples import Sample\n"
        "from windtunnel.harness.api.requests import Classify\n"
        "@plugin('tasks', 'named')\nclass A:\n    requires = frozenset({'classify', 'text'}); metrics = ('exact_match',); primary = ''\n"
        "    def samples(self): return [Sample('a', 'good', 7)]\n    def requests(self, s): return [Classify(s.input)]\n"
        "    def score(self, s, r): return {'exact_match': True}\n"
        "    def predict(self, s, r): return {'model': 'x', 'item': 'y', 'error': 'z', 'seed': 0, 'sample_id': 'q', 'kept': 1}\n"
    )
    run(tmp_path, tasks=["named"], plugins=["toy_plugins.py", "named.py"])
    frame = Run.load(tmp_path / "run").samples().iloc[0]
    assert (frame["model"], frame["item"], frame["sample_id"], frame["target"], frame["kept"]) == ("words", "named", "a", 7, 1)
    assert frame["error"] is None or pd.isna(frame["error"])


def test_report_writes_the_same_bytes_without_a_model(finished: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(finished, tmp_path / "copy"))
    names = ["results.json", "scorecard.html", "summary.md", "junit.xml"]
    before = {name: (copy / name).read_bytes() for name in names}
    for name in names:
        (copy / name).unlink()
    answer = windtunnel("report", copy, env={"WINDTUNNEL_TEST": "1"})
    assert answer.code == 0
    assert {name: (copy / name).read_bytes() for name in names} == before


def test_report_needs_no_plugin_file_either(tmp_path: Path) -> None:
    assert windtunnel("run", write_suite(tmp_path, **KEYS), "--out", tmp_path / "run", "-q").code == 0
    before = (tmp_path / "run" / "results.json").read_bytes()
    (tmp_path / "toy_plugins.py").unlink()
    assert windtunnel("report", tmp_path / "run").code == 0
    assert (tmp_path / "run" / "results.json").read_bytes() == before


SPY = """
from pathlib import Path
Path(__file__).with_suffix(".ran").touch()
"""
OWN = (
    SPY
    + """
from windtunnel.harness.metrics.scores import ColumnMean
from windtunnel.harness.api.registry import plugin

@plugin("metrics", "own")
class Own(ColumnMean):
    name = "own"; column = "correct"; needs = frozenset({column})

@plugin("reports", "mine")
class Mine:
    suffix = "mine.txt"
    def render(self, scorecard): return scorecard.verdict
"""
)


@pytest.fixture(scope="module")
def with_own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose metric and report are a plugin file's, which leaves a mark when it is run."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(OWN)
    tasks = [{"task": "notes", "metrics": ["accuracy", "own"]}]
    keys = {"plugins": ["toy_plugins.py", "own.py"], "reports": ["json", "mine"], "gates": ["notes.own.value >= 0.5"]}
    assert windtunnel("run", write_suite(folder, tasks=tasks, **keys), "--out", folder / "run", "-q").code == 0
    assert (folder / "run" / "mine.txt").read_text() == "pass"
    for mark in (folder / "own.ran", folder / "run" / "mine.txt"):
        mark.unlink()
    return folder


def test_records_load_no_code(with_own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever made the run folder says what its records name; only the user says what runs."""
    monkeypatch.chdir(with_own)
    (tmp_path / "gates.yaml").write_text("- notes.own.value >= 0.5\n- notes.accuracy.value >= 0.5\n")
    report, gate, verify = windtunnel("report", "run"), windtunnel("gate", "run", tmp_path / "gates.yaml"), windtunnel("verify", "run")
    metrics = Run.load("run").metrics().set_index("metric")
    Run.load("run").samples()
    assert not (with_own / "own.ran").exists()
    assert report.code == 2
    assert "the report 'mine' is not written: records load no code; pass the run's plugin file (toy_plugins.py" in report.err
    assert (gate.code, verify.code) == (3, 0), "a number that cannot be had passes no gate"
    assert "records load no code: pass the run's plugin file" in gate.out
    assert metrics["value"]["accuracy"] == pytest.approx(10 / 12)
    assert pd.isna(metrics["value"]["own"])
    assert "pass the run's plugin file" in metrics["reason"]["own"]


def test_a_plugin_file_that_is_given_is_the_runs_own(with_own: Path, tmp_path: Path) -> None:
    own, other = with_own / "own.py", tmp_path / "own.py"
    copy = Path(shutil.copytree(with_own / "run", tmp_path / "run"))
    assert windtunnel("report", copy, "--plugin", own).code == 0
    assert (copy / "mine.txt").read_text() == "pass"
    (tmp_path / "gates.yaml").write_text("- notes.own.value >= 0.5\n")
    assert windtunnel("gate", copy, tmp_path / "gates.yaml", "--plugin", own).code == 0
    assert Run.load(copy, [str(own)]).metrics().set_index("metric")["value"]["own"] == pytest.approx(10 / 12)
    other.write_text(OWN + "# changed\n")
    for answer in (windtunnel("report", copy, "--plugin", other), windtunnel("gate", copy, tmp_path / "gates.yaml", "--plugin", other)):
        assert answer.code == 2
        assert "pass the file in the version that the run used" in answer.err
    assert not (tmp_path / "own.ran").exists(), "a file is held against the records before it runs"


def test_a_compiled_copy_beside_a_plugin_file_is_not_what_runs(tmp_path: Path) -> None:
    """Python takes a cached file of the right time and size for the source, whatever is in it."""
    write_suite(tmp_path)
    source, own = tmp_path / "evil.py", tmp_path / "own.py"
    source.write_text(SPY)
    cached = Path(importlib.util.cache_from_source(str(own)))
    py_compile.compile(str(source), cfile=str(cached), dfile=str(own))
    own.write_text("#" * (len(SPY) - 1) + "\n")
    os.utime(own, (source.stat().st_atime, source.stat().st_mtime))
    with pytest.raises(ConfigError, match="defines no plugin"):
        Registry((own,))
    assert not (tmp_path / "own.ran").exists()


def test_summaries_are_the_same_each_time(finished: Path) -> None:
    assert summarise(finished) == summarise(finished)


METRICS = """
import numpy as np
from windtunnel.harness.metrics.base import Metric
from windtunnel.harness.metrics.scores import ColumnMean
from windtunnel.harness.api.registry import plugin

@plugin("metrics", "broken")
class Broken(Metric):
    name = "broken"; needs = frozenset({"correct"}); higher_is_better = True
    def evaluate_columns(self, columns, labels): raise RuntimeError("cannot count")
    def resampled(self, weights, columns, labels): raise RuntimeError("cannot count")

@plugin("metrics", "endless")
class Endless(Metric):
    name = "endless"; needs = frozenset({"correct"}); higher_is_better = True
    def evaluate_columns(self, columns, labels): return {"endless": float("inf")}
    def resampled(self, weights, columns, labels): return {"endless": np.full(len(weights), np.inf)}

@plugin("metrics", "wrong_column")
class Wrong(ColumnMean):
    name = column = "loglikelihood"; needs = frozenset({column})

@plugin("metrics", "own")
class Own(ColumnMean):
    name = column = "correct"; needs = frozenset({column})
"""


def test_an_unfinished_metric_is_told_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text(
        "from windtunnel.harness.metrics.base import Metric\nfrom windtunnel.harness.api.registry import plugin\n"
        "@plugin('metrics', 'half')\nclass Half(Metric):\n    name = 'half'; needs = frozenset({'correct'})\n"
    )
    with pytest.raises(ConfigError, match=r"the metric 'half' has no 'higher_is_better', 'evaluate_columns.*' or 'resampled"):
        planned(tmp_path, tasks=[{"task": "notes", "metrics": ["half"]}], plugins=["toy_plugins.py", "half.py"])


@pytest.mark.parametrize(
    ("base", "body", "words"),
    [
        ("Metric", "higher_is_better = True\n    def evaluate_columns(self, columns, labels): return {'half': 1.0}",
         "the metric 'half' has no 'resampled(weights_RN, columns, labels)' or 'intervals(columns, labels, groups, seed)'"),
        ("Metric", "higher_is_beter = True\n    def resampled(self, weights_RN, columns, labels): return {}",
         "the metric 'half' has no 'higher_is_better' (is 'higher_is_beter' meant?)"),
        ("Metric", "higher_is_better = True\n    def evaluate_columns(self, columns, labels): return {}\n"
         "    def resample(self, weights_RN, columns, labels): return {}", "(is 'resample' meant?)"),
        ("Metric", "higher_is_better = True\n    def evaluate_columns(self, columns): return {}\n"
         "    def resampled(self, weights_RN, columns, labels): return {}",
         "cannot be called as 'evaluate_columns(columns, labels)'; give its method these parameters, in this order"),
        ("Mean", "higher_is_better = True\n    def scores(self, columns, labels): return []",
         "the metric 'half' has no 'score(columns, labels)' (is 'scores' meant?)"),
    ],
)  # fmt: skip
def test_what_a_metric_lacks_is_told_with_its_signature(tmp_path: Path, base: str, body: str, words: str) -> None:
    (tmp_path / "half.py").write_text(
        "from windtunnel.harness.metrics.base import Metric\nfrom windtunnel.harness.metrics.scores import Mean\n"
        "from windtunnel.harness.api.registry import plugin\n"
        f"@plugin('metrics', 'half')\nclass Half({base}):\n    name = 'half'; needs = frozenset({{'correct'}})\n    {body}\n"
    )
    with pytest.raises(ConfigError, match=re.escape(words)):
        planned(tmp_path, tasks=[{"task": "notes", "metrics": ["half"]}], plugins=["toy_plugins.py", "half.py"])


def test_a_metric_need_not_derive(tmp_path: Path) -> None:
    """It has the percentile bootstrap, and all other defaults."""
    (tmp_path / "plain.py").write_text(
        "from windtunnel.harness.api.registry import plugin\n@plugin('metrics', 'plain')\nclass Plain:\n    name = 'plain'\n"
        "    needs, higher_is_better = frozenset({'correct'}), True\n"
        "    def resampled(self, weights, columns, labels):\n"
        "        return {'plain': weights @ columns['correct'] / weights.sum(1)}\n"
    )
    tasks = [{"task": "notes", "num": 60, "metrics": ["accuracy", "plain"]}]
    card = run(tmp_path, tasks=tasks, plugins=["toy_plugins.py", "plain.py"], gates=["notes.plain.value >= 0.5"])
    own = row(card, "notes", "plain")
    assert own.estimate.value == pytest.approx(row(card, "notes", "accuracy").estimate.value)
    assert own.estimate.low < own.estimate.value < own.estimate.high
    assert (own.dimension, own.unit, card.verdict) == ("quality", "", "pass")


def test_a_metric_that_fails_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "metrics.py").write_text(METRICS)
    tasks = [{"task": "notes", "metrics": ["accuracy", "broken", "endless", "wrong_column", "own"]}]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy, on the infinite metric
        card = run(tmp_path, tasks=tasks, plugins=["toy_plugins.py", "metrics.py"])
    assert row(card, "notes", "accuracy").estimate.value == pytest.approx(10 / 12)
    assert row(card, "notes", "correct").estimate.value == pytest.approx(10 / 12)
    assert row(card, "notes", "broken").estimate.reason == "the metric failed: RuntimeError: cannot count"
    endless = row(card, "notes", "endless").estimate
    assert endless.value is None
    assert endless.reason
    assert row(card, "notes", "loglikelihood").estimate.reason == "the task gives no 'loglikelihood'"
    assert json.loads(windtunnel("report", tmp_path / "run", "--json").out)["complete"]


def test_the_scorecard_says_where_it_comes_from(finished: Path) -> None:
    manifest = summarise(finished).manifest
    assert manifest["name"] == "toys"
    with opened(finished) as store:
        assert manifest["models"]["words"]["fingerprint"] == store.items()[0].model_fingerprint
    attack = next(i for i in manifest["items"] if i["kind"] == "attack")
    bounds = {"max_words": 1, "max_share": None, "max_chars": None, "min_similarity": None, "protected_words": []}
    bounds |= {"same_part_of_speech": False, "stop_words": "none", "tagger": "nltk"}
    assert attack["threat"] == {"type": "EditBudget", **bounds}
    assert attack["plugin"].startswith("toy_plugins.py sha256:")
    assert isinstance(attack["seed"], int)
    assert json.loads((finished / "results.json").read_text())["manifest"]["items"] == manifest["items"]


def test_costs_are_counted(finished: Path) -> None:
    card = summarise(finished)
    assert row(card, "notes", "forward_passes").estimate.value == 3
    assert row(card, "swap(notes)", "cache_hits").estimate.value == 22, "12 clean samples and 10 twins were asked before"
    assert card.timing["words/notes"]["seconds"] >= 0


def test_an_item_without_any_answer_still_has_its_rows(tmp_path: Path) -> None:
    card = run(tmp_path, tasks=[{"task": "notes", "fail": "score:all"}], attacks=["swap"])
    for metric in ("robust_accuracy", "attack_success_rate", "clean_accuracy"):
        estimate = row(card, "swap(notes)", metric).estimate
        assert estimate.value is None
        assert "ZeroDivisionError" in estimate.reason


def test_a_tasks_own_dimension_is_where_its_quality_is_shown(tmp_path: Path) -> None:
    (tmp_path / "mood.yaml").write_text(
        "family: text_classification\ndimension: safety\ndata: {files: rows.jsonl}\ntext: text\nlabel: label\n"
        "labels: [negative, positive]\nmetrics: [accuracy, brier]\n"
    )
    (tmp_path / "rows.jsonl").write_text('{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n')
    card = run(tmp_path, tasks=["mood.yaml"])
    assert row(card, "mood", "accuracy").dimension == "safety"
    assert row(card, "mood", "brier").dimension == "calibration"


def test_names_may_hold_brackets(tmp_path: Path) -> None:
    card = run(tmp_path, tasks=[{"task": "notes", "name": "notes (dev)"}], attacks=[{"attack": "swap", "name": "swap(all)"}])
    assert {twin.attack for sample in card.samples for twin in sample.twins} == {"swap(all)"}


def test_a_run_of_which_nothing_could_be_scored_has_no_data(tmp_path: Path) -> None:
    path = write_suite(tmp_path, tasks=[{"task": "notes", "fail": "requests:all"}])
    assert windtunnel("run", path, "--out", tmp_path / "run").code == 3
    assert summarise(tmp_path / "run").verdict == "no_data"


BACKWARDS = """
import numpy as np
from windtunnel.harness.models.python.toy import Words
from windtunnel.harness.api.registry import plugin
from windtunnel.harness.api.samples import Attribution
from windtunnel.harness.modalities.words import word_spans

@plugin("probes", "backwards")
class Backwards:
    requires = frozenset({"classify", "text"})

    def attribute(self, engine, samples):
        for s in samples:
            spans = word_spans(s.input)
            values = [-abs(Words.balance(s.input[a:b])) for a, b in spans]
            yield Attribution(s.id, int(Words.balance(s.input) > 0), np.array(values), spans)

@plugin("probes", "from_nothing")
class FromNothing(Backwards):
    starts_from = "nothing"
"""


def test_a_probe_that_is_no_better_than_random_is_flagged(tmp_path: Path) -> None:
    """One that starts from a neutral input is told that there are others."""
    (tmp_path / "backwards.py").write_text(BACKWARDS)
    tasks = [{"task": "notes", "num": 60}]
    keys = {"plugins": ["toy_plugins.py", "backwards.py"], "probes": ["backwards", "from_nothing", "feature_ablation"], "tasks": tasks}
    flags = [flag for flag in run(tmp_path, **keys).manifest["flags"] if "comprehensive than random ones" in flag]
    ending = "hey do not explain this model."
    assert [flag.partition(": ")[0] for flag in flags] == ["words/backwards(notes)", "words/from_nothing(notes)"]
    assert "are less comprehensive" in flags[0] or "are not shown to be more comprehensive" in flags[0]
    assert flags[0].endswith(ending)
    assert flags[1].endswith(f"{ending} They start from a neutral input, which is a choice: try another 'baseline'.")


def test_inputs_are_texts_and_hold_no_lone_surrogate(tmp_path: Path) -> None:
    rows = [["a", "a good \ud800 note", 1], ["b", "a bad note", 0]]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    card = run(tmp_path, tasks=[{"task": "notes", "rows": str(tmp_path / "rows.json")}])
    frame = Run.load(tmp_path / "run").inputs()
    assert list(frame["input"]) == ["a good \\ud800 note", "a bad note"]
    assert list(frame["target"]) == ["positive", "negative"]
    assert frame["labels"][0] == ("negative", "positive")
    assert card.manifest["tasks"] == {"notes": {"title": "", "hub_task": "other", "source": {}}}
