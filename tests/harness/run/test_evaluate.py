"""A run from Python: the same numbers as a suite file's, and objects of the program as its models, tasks, attacks and probes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import windtunnel as wt
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from windtunnel.harness.api import registry
from windtunnel.tests import tiny
from windtunnel.tests.toys import windtunnel

ROWS = [("a good film", 1), ("a bad film", 0), ("good good", 1), ("so bad", 0), ("not good", 0), ("fine", 1)]
LABELS = ["negative", "positive"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Films:
    """A task that is an object of the program."""

    name, requires, metrics, primary = "films", frozenset({"classify", "text"}), ("accuracy",), "correct"

    def __init__(self, labels: Sequence[str] = LABELS) -> None:
        self.labels = tuple(labels)

    def samples(self) -> Iterator[wt.Sample]:
        return (wt.Sample(f"f{i}", text, target, self.labels) for i, (text, target) in enumerate(ROWS))

    def requests(self, sample: wt.Sample) -> list[wt.Classify]:
        return [wt.Classify(sample.input, sample.labels)]

    def score(self, sample: wt.Sample, responses: Sequence[wt.Logits]) -> dict[str, float]:
        return {"correct": float(int(np.argmax(responses[0].values)) == sample.target)}

    def predict(self, sample: wt.Sample, responses: Sequence[wt.Logits]) -> dict[str, Any]:
        values = np.array(responses[0].values)
        odds = np.exp(values - values.max())
        return {"prediction": int(values.argmax()), "target": sample.target, "probabilities": tuple(odds / odds.sum())}


def looks_for_good(texts: list[str]) -> list[list[float]]:
    return [[0.0, 1.0 if "good" in text else -1.0] for text in texts]


def value(run: wt.Run, item: str, metric: str, model: str | None = None) -> float:
    (row,) = [r for r in run.scorecard.rows if (r.item, r.name) == (item, metric) and model in (None, r.model)]
    assert row.estimate.value is not None
    return row.estimate.value


def test_a_function_and_a_task() -> None:
    run = wt.evaluate({"mine": looks_for_good}, Films(), gates=["films.accuracy.value >= 0.6"])
    expected = accuracy_score([t for _, t in ROWS], [int("good" in text) for text, _ in ROWS])
    assert value(run, "films", "accuracy") == pytest.approx(expected)
    assert (run.scorecard.verdict, run.path.parent.name) == ("pass", "runs")
    assert list(run.samples()["model"].unique()) == ["mine"]
    assert set(run.metrics()["item"]) == {"films", "batch_invariance(films)"}
    assert (run.path / "scorecard.html").is_file()
    shown = run._repr_html_()
    assert "<b>pass</b>" in shown
    assert "<td>films</td><td>accuracy</td><td>0.6667</td>" in shown


def test_a_notebook_shows_hostile_names_as_text() -> None:
    run = wt.evaluate({"<script>x</script>": looks_for_good}, Films())
    assert "<script>" not in run._repr_html_()
    assert "&lt;script&gt;" in run._repr_html_()


def test_a_changed_function_is_another_model_in_another_folder() -> None:
    def answer(texts: list[str]) -> list[list[float]]:
        return [[0.0, sign] for _ in texts]

    sign = 1.0
    first = wt.evaluate({"mine": answer}, Films())
    sign = -1.0
    second = wt.evaluate({"mine": answer}, Films())
    assert first.path != second.path
    assert [value(run, "films", "accuracy") for run in (first, second)] == [0.5, 0.5]
    assert [list(run.samples().query("kind == 'task'")["prediction"].unique()) for run in (first, second)] == [[1], [0]]


def test_a_pipeline_of_scikit_learn() -> None:
    texts, targets = zip(*ROWS, strict=True)
    pipeline = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, [LABELS[t] for t in targets])
    run = wt.evaluate(pipeline, Films(), probes=["occlusion"])
    assert value(run, "films", "accuracy") == pytest.approx(pipeline.score(texts, [LABELS[t] for t in targets]))
    expected = pipeline.predict_proba(texts)
    found = np.array(list(run.samples().query("kind == 'task'")["probabilities"]))
    assert np.allclose(found, expected)
    assert value(run, "occlusion(films)", "comprehensiveness") > 0


def test_a_module_of_torch(tmp_path: Path) -> None:
    (tmp_path / "bright.py").write_text(
        "import numpy as np\ndef rows():\n    rng = np.random.default_rng(0)\n    for level in (20, 230, 125, 131, 60):\n"
        "        noisy = np.clip(rng.integers(-10, 10, (6, 6, 3)) + level, 0, 255)\n"
        "        yield {'image': noisy.astype(np.uint8), 'label': int(level > 127)}\n"
    )
    (tmp_path / "bright.yaml").write_text(
        "family: image_classification\ndata: {python: 'bright.py:rows'}\nimage: image\nlabel: label\nlabels: [dark, bright]\n"
    )

    class Bright(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            mean = pixels.mean((1, 2, 3))
            return torch.stack([0.5 - mean, mean - 0.5], 1)

    run = wt.evaluate(
        {"model": Bright(), "name": "net", "labels": ["dark", "bright"]}, "bright.yaml", attacks={"attack": "pgd", "steps": 2}
    )
    assert value(run, "bright", "accuracy") == 1.0
    assert 0 <= value(run, "pgd(bright)", "robust_accuracy") <= 1.0
    with pytest.raises(wt.ConfigError, match="has no class names"):
        wt.evaluate(Bright(), "bright.yaml")


def test_a_model_of_transformers_is_what_its_checkpoint_is(tmp_path: Path) -> None:
    folder = tiny.checkpoint("bert")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    pair = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    outside = tmp_path / "outside"
    run = wt.evaluate({str(outside): pair, "stored": f"hf:{folder}"}, Films(("negative", "neutral", "positive")), dtype="float32")
    frame = run.samples()
    live, stored = (frame[frame["model"] == name] for name in (str(outside), "stored"))
    assert list(live["probabilities"]) == list(stored["probabilities"])
    assert not outside.exists()


def test_the_numbers_are_those_of_a_suite_file(tmp_path: Path) -> None:
    run = wt.evaluate("toy:words", _task(tmp_path), seed=3, limit=4, folder="here")
    (tmp_path / "suite.yaml").write_text("models: [toy:words]\ntasks: [films.yaml]\nseed: 3\nlimit: 4\n")
    assert windtunnel("run", "suite.yaml", "--out", "there").code == 0
    rows = [[(r.item, r.name, r.estimate) for r in wt.load(place).scorecard.rows] for place in (run.path, Path("there"))]
    assert rows[0] == rows[1]


def _task(folder: Path) -> str:
    (folder / "films.csv").write_text("text,label\n" + "".join(f"{text},{target}\n" for text, target in ROWS))
    (folder / "films.yaml").write_text(
        "family: text_classification\ndata: {files: films.csv}\ntext: text\nlabel: label\nlabels: [negative, positive]\n"
    )
    return "films.yaml"


@pytest.mark.parametrize("given", [3, None, object()])
def test_what_is_no_model_is_told(given: object) -> None:
    with pytest.raises(wt.ConfigError, match="is not a model: pass a text such as 'hf:path'"):
        wt.evaluate([given], Films())


class Swap:
    """An attack that holds what it writes."""

    requires, threat = frozenset({"classify", "text"}), wt.EditBudget(max_words=9, max_share=1.0)

    def __init__(self, word: str, **more: object) -> None:
        self.word = word
        vars(self).update(more)

    def perturb(self, engine: Any, samples: Sequence[wt.Sample], threat: Any, rng: Any) -> list[wt.Sample]:
        return [replace(s, input=str(s.input).replace("good", self.word)) for s in samples]


def test_an_object_that_holds_something_else_is_run_anew_in_its_folder() -> None:
    found = []
    for word in ("bad", "bad", "goodly"):
        run = wt.evaluate({"mine": looks_for_good}, Films(), attacks={"swap": Swap(word)}, folder="one")
        found.append((value(run, "swap(films)", "robust_accuracy"), len(run.scorecard.manifest["set_aside"])))
    assert found[0] == found[1]
    assert found[2] == (value(run, "films", "accuracy"), 1)


def test_a_changed_task_of_a_cell_is_run_anew_with_its_attacks() -> None:
    def cell(right: float) -> Films:
        class Cell(Films):
            def score(self, sample: wt.Sample, responses: Sequence[wt.Logits]) -> dict[str, float]:
                return {"correct": right}

        return Cell()

    for right, aside in ((0.0, []), (1.0, ["films", "swap(films)"])):
        run = wt.evaluate({"mine": looks_for_good}, cell(right), attacks={"swap": Swap("bad")}, folder="one", check_drift=False)
        assert [gone["item"] for gone in run.scorecard.manifest["set_aside"]] == aside
        assert set(run.samples().query("kind == 'task'")["score.correct"]) == {right}


def test_an_object_that_nobody_can_look_into_does_not_go_on() -> None:
    given: dict[str, Any] = {"models": {"mine": looks_for_good}, "tasks": Films(), "folder": "one"}
    wt.evaluate(**given, attacks={"swap": Swap("bad", rng=np.random.default_rng(0))})
    with pytest.raises(wt.ConfigError, match=r"whose program is unknown: .* draws at random"):
        wt.evaluate(**given, attacks={"swap": Swap("bad", rng=np.random.default_rng(0))})


def test_a_class_is_made_with_its_settings() -> None:
    attacks = {"attack": Swap, "name": "swap", "word": "bad"}
    run = wt.evaluate({"mine": looks_for_good}, Films(), attacks=attacks)
    assert value(run, "swap(films)", "robust_accuracy") < value(run, "films", "accuracy")
    with pytest.raises(wt.ConfigError, match=r"attack 'swap' cannot be made from {}: .* missing 1 required positional argument: 'word'"):
        wt.evaluate({"mine": looks_for_good}, Films(), attacks={"swap": Swap})


# ── metrics of a program ──────────────────────────────────────────────────────────────────────────────────────────────


class Share(wt.Metric):
    """The share of right answers, times a factor."""

    name, needs, higher_is_better = "share", frozenset({"correct"}), True

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def resampled(self, weights_RN: Any, columns: Any, labels: tuple[str, ...]) -> dict[str, Any]:
        return {self.name: self.factor * (weights_RN * columns["correct"]).sum(axis=1) / weights_RN.sum(axis=1)}


def films_with(*metrics: object) -> Films:
    task = Films()
    task.metrics = metrics  # type: ignore[assignment]
    return task


@pytest.mark.parametrize(("metric", "factor"), [(Share, 1.0), (Share(), 1.0), (Share(0.5), 0.5)])
def test_a_metric_may_be_an_object(metric: object, factor: float) -> None:
    other = films_with(metric)
    tasks = {"films": films_with("accuracy", metric), "others": other}
    run = wt.evaluate({"mine": looks_for_good}, tasks, gates=["films.share.value > 0.1"])
    assert value(run, "films", "share") == pytest.approx(factor * value(run, "films", "accuracy"))
    assert value(run, "others", "share") == value(run, "films", "share")
    assert run.scorecard.verdict == "pass"


def test_a_metric_of_the_harness_may_be_an_object() -> None:
    from windtunnel.harness.metrics.classification import F1Macro

    run = wt.evaluate({"mine": looks_for_good}, films_with(F1Macro()))
    assert 0 < value(run, "films", "f1_macro") < 1


class Nameless(wt.Metric):
    needs, higher_is_better = frozenset({"correct"}), True


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([accuracy_score], "<function accuracy_score at 0x.*> is no metric: give the name of one"),
        ([3], "3 is no metric: give the name of one"),
        ([Nameless()], r"the metric 'Nameless' has no 'name', 'evaluate_columns\(columns, labels\)' or 'resampled"),
        (
            [Share(1.0), Share(2.0)],
            r"the metric 'share' already exists \(from .*Share sha256:.*\); rename the one from .*",
        ),
    ],
)
def test_what_is_no_metric_is_refused(metrics: list[object], message: str) -> None:
    with pytest.raises(wt.ConfigError, match=message):
        wt.evaluate({"mine": looks_for_good}, films_with(*metrics))


def test_classes_of_a_notebook_have_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    monkeypatch.setattr(registry, "_defined", {})

    class Cells(Films):
        __module__ = "__main__"

    wt.plugin("tasks", "cells")(Cells)
    runs = [wt.evaluate({"mine": looks_for_good}, task) for task in (Cells(), "cells")]
    assert value(runs[0], "films", "accuracy") == value(runs[1], "cells", "accuracy")


def test_a_plugin_of_a_notebook_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "_defined", {})
    for factor in (1.0, 0.5):  # the cell is executed again
        wt.plugin("metrics", "cells_own")(lambda factor=factor: Share(factor))
        run = wt.evaluate({"mine": looks_for_good}, films_with("cells_own"))
        assert value(run, "films", "share") == pytest.approx(factor * 4 / 6)
    (tmp_path / "mine.py").write_text("import windtunnel as wt\nwt.plugin('metrics', 'files_own')(object)\n")
    wt.evaluate({"mine": looks_for_good}, films_with("cells_own"), plugins="mine.py")
    assert list(registry._defined) == [("metrics", "cells_own")], "what a plugin file defines belongs to its runs"
    with pytest.raises(
        wt.ConfigError,
        match=r"the metric 'accuracy' already exists \(from windtunnel .*\); rename the one",
    ):
        wt.plugin("metrics", "accuracy")(Share)


# ── words and progress ────────────────────────────────────────────────────────────────────────────────────────────────


def test_errors_name_the_arguments_of_evaluate(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(wt.ConfigError, match=r"contains 'notes.txt' and no run; choose an empty or a new folder with folder=$"):
        wt.evaluate({"mine": looks_for_good}, Films(), folder=tmp_path)
    wt.evaluate({"mine": looks_for_good}, Films(), folder="one")
    with pytest.raises(wt.ConfigError, match=r"contains the run of another suite, .* choose a new folder with folder=$"):
        wt.evaluate({"other": looks_for_good}, Films(), folder="one")
    answer = windtunnel("run", "--model", "toy:words", "--tasks", _task(tmp_path), "--out", "one")
    assert answer.err.endswith("choose a new folder with --out\n")


class Cell:
    """The output of a notebook's cell."""

    def __init__(self) -> None:
        self.drawn: list[dict[str, str]] = []

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Cell:
        self.update(bundle, raw=raw)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        self.drawn.append(bundle)


def test_a_notebook_shows_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cell = Cell()
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    for name, parts in {"IPython": {"get_ipython": object}, "IPython.display": {"display": cell.display}}.items():
        module = ModuleType(name)
        vars(module).update(parts)
        monkeypatch.setitem(sys.modules, name, module)
    wt.evaluate({"<mine>": looks_for_good}, Films(), check_drift=False, progress=False)
    assert cell.drawn == []
    wt.evaluate({"<mine>": looks_for_good}, Films(), check_drift=False)
    texts = [bundle["text/plain"] for bundle in cell.drawn]
    assert texts[:3] == ["starting", "loading <mine>", "<mine> films: 0 of 6 samples, time left unknown yet"]
    assert texts[-2].startswith("<mine> films: 6 of 6 samples, ")
    assert texts[-2].endswith(" tokens/s, about 0.0 s left")
    assert texts[-1].startswith("1 item done in ")
    assert '<progress value="6" max="6"></progress> <code>&lt;mine&gt; films' in cell.drawn[-2]["text/html"]
    assert capsys.readouterr() == ("", "")


def test_an_object_is_told_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    class Listener(wt.Progress):
        done = 0

        def advance(self, num_samples: int) -> None:
            self.done += num_samples

    listener = Listener()
    wt.evaluate({"mine": looks_for_good}, Films(), check_drift=False, progress=listener)
    assert listener.done == 6
    wt.evaluate({"mine": looks_for_good}, Films())
    assert capsys.readouterr() == ("", ""), "nothing is printed where there is no terminal"


@dataclass(frozen=True)
class Sized:
    """An input whose size is what its modality says."""

    size: object


class Sizes(wt.Modality[Sized]):
    name, type = "sized", Sized

    def size(self, value: Sized, /) -> int:
        if value.size is None:
            raise ValueError("no idea")
        return value.size  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("size", "message"),
    [(None, "ValueError: no idea"), (-1, "ValueError: -1 is below 0"), (2.5, "TypeError: unsupported|TypeError: 'float'")],
)
def test_a_size_that_cannot_be_measured_is_told(size: object, message: str) -> None:
    class Task(Films):
        requires = frozenset({"classify", "sized"})

        def samples(self) -> Iterator[wt.Sample]:
            return iter([wt.Sample("s0", Sized(size), 0, self.labels)])

    told = rf"task 'films': the size of the sample 's0' cannot be measured: {message}.*; Sizes.size must give a number of positions"
    with pytest.raises(wt.DataError, match=told):
        wt.evaluate("toy:words", Task())


class Alone:
    def save_pretrained(self, folder: Path) -> None:
        """As a model of transformers has it."""


class Source:
    def inspect(self) -> wt.ModelInfo:
        raise AssertionError

    def load(self, device: str, dtype: str) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ({"model": looks_for_good, "lables": LABELS}, "model 'callable' has no setting 'lables'. Did you mean 'labels'?"),
        ([{"modle": looks_for_good}], "an entry of models has the keys 'modle' and no 'model'; add {'model': ...}"),
        ({"model": Source(), "labels": LABELS}, "the model 'Source' is already a source and takes no settings; remove 'labels'"),
        (Alone(), "the transformers model 'Alone' lacks its preprocessor; pass (model, tokenizer)"),
        (
            {"model": torch.nn.Identity(), "labels": LABELS, "chanels": 1},
            "model 'torch' has no setting 'chanels'. Did you mean 'channels'",
        ),
        (LogisticRegression(), "an object of the class LogisticRegression is not a model: pass"),
        (b"hf:path", "an object of the class bytes is not a model: pass"),
        ([looks_for_good, looks_for_good], "evaluate: two models are called 'looks_for_good'"),
        ([], "evaluate: models: "),
    ],
)
def test_what_is_wrong_with_the_models_is_told(models: object, told: str) -> None:
    with pytest.raises(wt.ConfigError) as error:
        wt.evaluate(models, Films())
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tasks": [3]}, "the class int does not derive from Task, .*; derive its class from windtunnel.Task"),
        ({"tasks": None}, "the class NoneType does not derive from Task, and the"),
        ({"tasks": looks_for_good}, "the class function does not derive from Task, and the"),
        ({"attacks": object()}, "(?s)the class object does not derive from Attack, and the defaults cannot"),
        ({"tasks": {}}, "evaluate: tasks: the list is empty; name at least one"),
        ({"gates": 3}, "evaluate: gates must be one value or a list, not an object of the class int"),
        ({"plugins": 3}, "evaluate: plugins must be one value or a list, not an object of the class int"),
        ({"folder": 3}, "evaluate: folder must be a path, not an object of the class int"),
        ({"progress": 3}, "evaluate: progress must be True, False or an object derived from windtunnel.Progress, not an object"),
    ],
)
def test_what_is_wrong_with_other_arguments_is_told(given: dict[str, Any], message: str) -> None:
    with pytest.raises(wt.ConfigError, match=message):
        wt.evaluate(**{"models": {"mine": looks_for_good}, "tasks": Films(), **given})


def test_one_thing_is_as_a_list_of_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import windtunnel as wt\nwt.plugin('reports', 'mine')(object)\n")
    gate = {"check": "films.accuracy >= 0.999", "inconclusive": "warn"}
    run = wt.evaluate(looks_for_good, Films(), gates=gate, plugins="mine.py")
    assert [gate.gate for gate in run.scorecard.gates] == ["films.accuracy >= 0.999"]
    assert run.plugins == ("mine.py",)


def test_an_attack_and_a_probe_that_are_objects() -> None:
    class Backwards:
        requires, threat = frozenset({"classify", "text"}), wt.EditBudget(max_words=9, max_share=1.0)

        def perturb(self, engine: Any, samples: Sequence[wt.Sample], threat: Any, rng: Any) -> list[wt.Sample]:
            return [replace(s, input=str(s.input).replace("good", "bad")) for s in samples]

    class FirstWord:
        requires = frozenset({"classify", "text"})

        def attribute(self, engine: Any, samples: Sequence[wt.Sample]) -> list[wt.Attribution]:
            spans = [tuple(wt.word_spans(str(s.input))) for s in samples]
            return [
                wt.Attribution(s.id, 1, np.eye(1, len(places), dtype=np.float32)[0], places)
                for s, places in zip(samples, spans, strict=True)
            ]

    run = wt.evaluate({"mine": looks_for_good}, Films(), attacks={"swap": Backwards()}, probes={"first": FirstWord()})
    items = {row.item for row in run.scorecard.rows}
    assert {"films", "swap(films)", "first(films)"} <= items
    assert value(run, "swap(films)", "robust_accuracy") < value(run, "films", "accuracy")
