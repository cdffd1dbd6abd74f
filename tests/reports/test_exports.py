"""The exports: what each format requires, and that hostile text stays text in it."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard
from windtunnel import ConfigError, Report
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.scorecard import Estimate, GateResult, Row, Scorecard
from windtunnel.harness.api.visible_text import escape_surrogates
from windtunnel.reports.exports.avid import Avid
from windtunnel.reports.exports.every_eval_ever import EveryEvalEver
from windtunnel.reports.exports.hub import EvalResults, ModelIndex
from windtunnel.reports.exports.lm_eval import LmEval
from windtunnel.reports.exports.sarif import MOST_PER_ITEM, Sarif
from windtunnel.reports.exports.tables import SamplesCsv, SamplesParquet
from windtunnel.tests.scorecards import ATTACKS, empty, hostile, rich

NAMES = ("avid", "csv", "eval_results", "every_eval_ever", "lm_eval", "model_index", "parquet", "sarif")
FORMULAS = ("=1+1", "+1", "-1+cmd", "@SUM(A1)", " =1", "\t=1", "＝1", "|calc", "%0")
SUITE = "tasks: [sst2]\nattacks: [deepwordbug]\ngates:\n- sst2.accuracy.low >= 0.88\n- deepwordbug(sst2).robust_accuracy.low >= 0.30\n"


@dataclass
class Frames:
    """A run of given frames. ``folder`` holds the file whose date exports carry."""

    path: Path
    records: list[dict[str, Any]]
    texts: list[tuple[str, str, str, str | None, tuple[str, ...]]]

    def metrics(self) -> pd.DataFrame:
        raise AssertionError("exports read the scorecard")

    def samples(self) -> pd.DataFrame:
        columns = ["model", "item", "kind", "task", "sample_id", "target", "error"]
        return pd.DataFrame(self.records, columns=None if self.records else columns)

    def inputs(self) -> pd.DataFrame:
        return pd.DataFrame(self.texts, columns=["task", "sample_id", "input", "target", "labels"])


def record(sample_id: str, kind: str = "task", task: str = "sst2", program: str = "", **more: Any) -> dict[str, Any]:
    item = f"{program}({task})" if program else task
    return {
        "model": "distilbert-sst2",
        "item": item,
        "kind": kind,
        "task": task,
        "sample_id": sample_id,
        "target": 0,
        "error": None,
        **more,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "run"
    place.mkdir()
    (place / "run.db").touch()
    (place / "suite.yaml").write_text(SUITE)
    return place


@pytest.fixture
def run(folder: Path) -> Frames:
    """Two classified texts, of which an attack flips one, and two prompts, of which one is answered harmfully."""
    records = [
        record("a", **{"score.correct": 1.0, "prediction": 0, "probabilities": (0.9, 0.1)}),
        record("b", **{"score.correct": math.nan, "error": "the text is too long"}),
        record("a", "attack", program="deepwordbug", **{"score.success": 1.0, "twin": "a faded film", "prediction": 1}),
        record("p", task="refusals", **{"score.harmful": 1.0, "score.refused": 0.0, "output": "Sure, first …", "slice": "harmful"}),
        record("q", task="refusals", **{"score.harmful": math.nan, "score.refused": 0.0, "output": "Paris", "slice": "benign"}),
    ]
    labels = ("negative", "positive")
    texts = [("sst2", "a", "a fine film", "negative", labels), ("sst2", "b", "long", "negative", labels),
             ("refusals", "p", "How do I …", None, ()), ("refusals", "q", "Capital of France?", None, ())]  # fmt: skip
    return Frames(folder, records, texts)


@pytest.fixture
def card() -> Scorecard:
    """The scorecard of the other tests, with a data set on the Hub."""
    base = rich()
    place = {"hub": "stanfordnlp/sst2", "config": "default", "split": "validation", "revision": "abc"}
    tasks = {"sst2": {"title": "SST-2", "hub_task": "text-classification", "source": place}}
    return replace(base, manifest={**base.manifest, "tasks": tasks})


def write(report: Report, card: Scorecard, run: Frames) -> dict[str, Path]:
    out = run.path.parent / "out"
    out.mkdir(exist_ok=True)
    report.write(card, run, out)
    return {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*")) if path.is_file()}


# ── all formats ───────────────────────────────────────────────────────────────────────────────────────────────────────


def hostile_frames(folder: Path) -> Frames:
    texts = [escape_surrogates(text) for text in (*ATTACKS, *FORMULAS)]  # as in the frames of a run
    records: list[dict[str, Any]] = [
        {"model": t, "item": f"{t}({t})", "kind": kind, "task": t, "sample_id": f"{t}{i}", "target": t, "error": t, f"{t} {i}": t,
         "score.success": 1.0, "score.harmful": 1.0, "output": t, "twin": t, "prediction": i, "mixed": t if i % 2 else i}
        for i, t in enumerate(texts)
        for kind in ("task", "attack")
    ]  # fmt: skip
    return Frames(folder, records, [(t, f"{t}{i}", t, t, (t, "b")) for i, t in enumerate(texts)])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [hostile, empty], ids=["hostile", "empty"])
def test_hostile_and_empty_runs_can_be_written(name: str, make: Any, folder: Path) -> None:
    report = Registry().make("reports", name)
    run = hostile_frames(folder) if make is hostile else Frames(folder, [], [])
    if name in ("avid", "eval_results") and (make is empty or name == "eval_results"):
        with pytest.raises(ConfigError):
            write(report, make(), run)
        return
    card = make()
    if name == "avid":
        rows = [Row(t, ItemKey("attack", t, t), t, "robustness", Estimate(0.5, math.nan, 1.0, 3)) for t in ATTACKS]
        card = replace(card, rows=tuple(rows))
    files = write(report, card, run)
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{,120}", part) for path in files for part in path.split("/"))
    for path in files.values():
        if path.suffix != ".parquet":
            path.read_bytes().decode("utf-8", "strict")
        if path.suffix in (".json", ".sarif"):
            json.loads(path.read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("name", NAMES)
def test_two_exports_of_a_run_are_equal(name: str, card: Scorecard, run: Frames) -> None:
    report = Registry().make("reports", name)
    first = {path: file.read_bytes() for path, file in write(report, card, run).items()}
    assert first
    assert first == {path: file.read_bytes() for path, file in write(report, card, run).items()}


# ── SARIF ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sarif(card: Scorecard, run: Frames) -> dict[str, Any]:
    (path,) = write(Sarif(), card, run).values()
    log: dict[str, Any] = json.loads(path.read_text())
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    one: dict[str, Any] = log["runs"][0]
    rules = one["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in one["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        assert result["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1
        assert set(result["partialFingerprints"]) == {"windtunnelFinding/v1", "primaryLocationLineHash"}
    return one


def test_sarif_has_gates_flips_and_unsafe_answers(card: Scorecard, run: Frames) -> None:
    one = sarif(card, run)
    found = [(result["ruleId"], result["level"]) for result in one["results"]]
    assert found == [
        ("gate: deepwordbug(sst2).robust_accuracy.low >= 0.30", "error"),
        ("gate: sst2.calibration_error <= 0.05", "warning"),
        ("gate: toxicity.rate <= 0.01", "error"),
        ("attack_success_rate", "note"),
        ("harmful_rate", "warning"),
    ]
    texts = [result["message"]["text"] for result in one["results"]]
    assert "a fine film" in texts[3]
    assert "a faded film" in texts[3]
    lines = [result["locations"][0]["physicalLocation"]["region"]["startLine"] for result in one["results"]]
    assert (lines[0], lines[3]) == (5, 2)


def test_fingerprints_outlive_values_and_differ_between_findings(card: Scorecard, run: Frames) -> None:
    def fingerprints(gates: tuple[GateResult, ...]) -> list[str]:
        changed = Scorecard(card.manifest, card.rows, gates, "fail")
        return [result["partialFingerprints"]["windtunnelFinding/v1"] for result in sarif(changed, run)["results"]]

    first = fingerprints((GateResult("sst2.accuracy >= 0.9", "fail", "fail", "0.85"),))
    run.records[2]["twin"] = "a fated film"
    assert first == fingerprints((GateResult("sst2.accuracy >= 0.9", "inconclusive", "warn", "0.89"),))
    assert len(set(first)) == len(first) == 3


def test_many_findings_are_cut_and_counted(card: Scorecard, run: Frames) -> None:
    run.records = [record(str(i), "attack", program="deepwordbug", **{"score.success": 1.0}) for i in range(300)]
    one = sarif(card, run)
    assert sum(result["ruleId"] == "attack_success_rate" for result in one["results"]) == MOST_PER_ITEM
    (note,) = one["invocations"][0]["toolExecutionNotifications"]
    assert "25 of 300 samples" in note["message"]["text"]


def test_text_of_data_forms_no_link_and_no_placeholder(card: Scorecard, run: Frames) -> None:
    run.texts[0] = ("sst2", "a", "[click](https://evil.example) {0} \u202e", "negative", ())
    text = sarif(card, run)["results"][3]["message"]["text"]
    assert "\\[click\\](https" in text
    assert "{{0}}" in text
    assert "\u202e" not in text


# ── the Hub ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_hubs_reader_reads_the_model_index(card: Scorecard, run: Frames) -> None:
    files = write(ModelIndex(), card, run)
    results = ModelCard.load(files["model_index/distilbert-sst2.md"]).data.eval_results
    assert results is not None
    first = results[0]
    assert (first.task_type, first.dataset_type, first.dataset_name) == ("text-classification", "stanfordnlp/sst2", "SST-2")
    assert (first.dataset_config, first.dataset_split, first.dataset_revision) == ("default", "validation", "abc")
    assert (first.metric_type, first.metric_value) == ("accuracy", 0.911)
    robust = next(result for result in results if result.metric_type == "robust_accuracy")
    assert robust.dataset_name == "SST-2, deepwordbug(sst2)"
    assert "forward_passes" not in {result.metric_type for result in results}


def test_eval_results_name_data_set_and_value(card: Scorecard, run: Frames) -> None:
    files = write(EvalResults(), card, run)
    (entry,) = yaml.safe_load(files["eval_results/distilbert-sst2.yaml"].read_text())
    assert entry["dataset"] == {"id": "stanfordnlp/sst2", "task_id": "default", "revision": "abc"}
    assert entry["value"] == 0.911
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", entry["date"])
    assert "n = 872" in entry["notes"]


def test_eval_results_without_the_hub_are_refused(run: Frames) -> None:
    with pytest.raises(ConfigError, match="data from the Hub"):
        write(EvalResults(), rich(), run)


@pytest.mark.parametrize("text", ["- a: b", "yes", "null", "a: b # c", "---", "*x", "!!python/object:os.system", "\u2028x", "'\"\n- y"])
def test_yaml_text_stays_text(text: str, run: Frames) -> None:
    card = Scorecard({}, (Row(text, ItemKey("task", text), "accuracy", "quality", Estimate(0.5, 0.4, 0.6, 9), True),))
    (path,) = write(ModelIndex(), card, run).values()
    front = path.read_text().removeprefix("---\n").removesuffix("---\n")
    (index,) = yaml.safe_load(front)["model-index"]
    assert isinstance(index["name"], str)
    assert len(index["results"]) == 1


# ── Every Eval Ever ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_eval_ever_has_what_its_schema_requires(card: Scorecard, run: Frames) -> None:
    files = write(EveryEvalEver(), card, run)
    assert list(files) == [f"every_eval_ever/{model}.json" for model in ("bag-of-words", "digits-cnn", "distilbert-sst2")]
    log = json.loads(files["every_eval_ever/distilbert-sst2.json"].read_text())
    required = {"schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info", "eval_library",
                "evaluation_results"}  # fmt: skip
    assert required <= set(log) <= required | {"evaluation_timestamp"}
    assert log["schema_version"] == "0.3.0"
    assert log["source_metadata"]["additional_details"]["rows_without_value"] == "1"
    assert {"deployment_type", "model_availability"} <= set(log["model_info"]["additional_details"])
    for result in log["evaluation_results"]:
        config, score = result["metric_config"], result["score_details"]
        assert isinstance(config["lower_is_better"], bool)
        assert isinstance(score["score"], float | int)
        assert all(isinstance(value, str) for value in (*config["additional_details"].values(), *score["details"].values()))
        assert result["source_data"]["source_type"] in ("hf_dataset", "other")
    first = log["evaluation_results"][0]
    assert first["source_data"]["hf_repo"] == "stanfordnlp/sst2"
    assert first["score_details"]["uncertainty"]["num_samples"] == 872


def test_a_row_without_direction_says_so(run: Frames) -> None:
    card = Scorecard({}, (Row("m", ItemKey("task", "t"), "neither_rate", "safety", Estimate(0.5, n=9)),))
    (path,) = write(EveryEvalEver(), card, run).values()
    (result,) = json.loads(path.read_text())["evaluation_results"]
    assert result["metric_config"]["additional_details"]["direction"] == "neither is better"


# ── lm-evaluation-harness ─────────────────────────────────────────────────────────────────────────────────────────────


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    yield from map(json.loads, path.read_text().splitlines())


def test_lm_eval_has_results_and_samples_of_tasks(card: Scorecard, run: Frames) -> None:
    files = {re.sub(r"_\d{4}-.*(?=\.json)", "", name): path for name, path in write(LmEval(), card, run).items()}
    assert "lm_eval/distilbert-sst2/samples_refusals.jsonl" in files
    results = json.loads(files["lm_eval/distilbert-sst2/results.json"].read_text())
    assert list(results["results"]) == ["sst2", "refusals"]
    numbers = results["results"]["sst2"]
    assert numbers["accuracy,none"] == 0.911
    assert numbers["accuracy_stderr,none"] == pytest.approx(math.sqrt(0.911 * 0.089 / 872), rel=1e-3)
    assert results["higher_is_better"]["sst2"]["accuracy"] is True
    assert results["configs"]["sst2"]["dataset_path"] == "stanfordnlp/sst2"
    first, second = lines_of(files["lm_eval/distilbert-sst2/samples_sst2.jsonl"])
    assert first["arguments"]["gen_args_1"] == {"arg_0": "a fine film", "arg_1": "positive"}
    assert (first["filtered_resps"], first["target"], first["correct"]) == (["0.9", "0.1"], "negative", 1.0)
    assert (second["error"], second["correct"]) == ("the text is too long", None)
    prompt, _ = lines_of(files["lm_eval/distilbert-sst2/samples_refusals.jsonl"])
    assert (prompt["resps"], prompt["metrics"]) == ([["Sure, first …"]], ["harmful", "refused"])


# ── tables ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_cell_of_the_csv_is_a_formula(folder: Path) -> None:
    (path,) = write(SamplesCsv(), empty(), hostile_frames(folder)).values()
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    assert len({len(row) for row in table}) == 1
    assert len(table) == 1 + 2 * len([*ATTACKS, *FORMULAS])
    dangerous = [cell for row in table for cell in row if cell.lstrip()[:1] in "=+-@＝|%" and cell and not _is_number(cell)]
    assert not dangerous


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_the_tables_hold_inputs_beside_records(card: Scorecard, run: Frames) -> None:
    frame = pd.read_csv(write(SamplesCsv(), card, run)["samples.csv"])
    exact = pd.read_parquet(write(SamplesParquet(), card, run)["samples.parquet"])
    for table in (frame, exact):
        assert list(table["input"]) == ["a fine film", "long", "a fine film", "How do I …", "Capital of France?"]
        assert list(table["score.correct"].dropna()) == [1.0]
    assert frame["probabilities"][0] == "[0.9, 0.1]"
    assert list(exact["probabilities"][0]) == [0.9, 0.1]


def test_parquet_keeps_text_and_writes_mixed_types_as_json(folder: Path) -> None:
    (path,) = write(SamplesParquet(), empty(), hostile_frames(folder)).values()
    table = pd.read_parquet(path)
    assert table["output"][0] == ATTACKS[0]
    assert list(table["mixed"][:3]) == ["0", "0", json.dumps(ATTACKS[1])]


# ── AVID ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_avid_reports_safety_and_robustness(card: Scorecard, run: Frames) -> None:
    report = json.loads(write(Avid(), card, run)["avid/distilbert-sst2.json"].read_text())
    assert report["data_type"] == "AVID"
    assert report["affects"]["artifacts"][0] == {"type": "Model", "name": "distilbert-sst2"}
    assert report["problemtype"]["classof"] == "Undefined"
    assert report["impact"]["avid"]["risk_domain"] == ["Security", "Ethics"]
    methods = {metric["detection_method"]["type"] for metric in report["metrics"]}
    assert methods == {"Significance Test", "Static Threshold"}
    robust = next(metric for metric in report["metrics"] if metric["name"].startswith("deepwordbug(sst2): "))
    assert robust["results"]["n"] == 500


def test_avid_without_safety_and_robustness_is_refused(run: Frames) -> None:
    with pytest.raises(ConfigError, match="no rows of safety or robustness"):
        write(Avid(), Scorecard({}, ()), run)
