"""Modules of `evaluate` as metrics: from a path, never from the network, imported only for them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score
from windtunnel import EvaluateModule
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.metrics.base import make_metric
from windtunnel.harness.metrics.classification import F1Macro
from windtunnel.harness.metrics.evaluate_module import load_module
from windtunnel.harness.metrics.foreign import find_metric
from windtunnel.harness.statistics.groups import Groups
from windtunnel.tests.toys import windtunnel

MODULE = """
import datasets
import evaluate
from sklearn.metrics import f1_score


class Sharpness(evaluate.Metric):
    def _info(self):
        values = datasets.Value("int64")
        features = datasets.Features({"predictions": values, "references": values})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references, average="macro"):
        value = f1_score(references, predictions, average=average)
        return {"sharpness": float(value), "each": [1.0], "nothing": float("nan")}
"""


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The caches of `evaluate` in folders of their own. They are read once per process."""
    import evaluate

    place = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_MODULES_CACHE", "HF_METRICS_CACHE", "HF_EVALUATE_CACHE"):
            patch.setattr(evaluate.config, name, place / name)
        yield


@pytest.fixture
def module(caches: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    def refuse(*args: object) -> None:
        raise AssertionError("a metric opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    (tmp_path / "sharpness").mkdir()
    (tmp_path / "sharpness" / "sharpness.py").write_text(MODULE)
    return str(tmp_path / "sharpness")


def columns_of(num: int) -> dict[str, Any]:
    target_N, prediction_N = np.random.default_rng(0).integers(0, 3, (2, num))
    return {"target": target_N, "prediction": prediction_N}


def test_a_module_is_a_metric_by_its_path(module: str) -> None:
    registry, columns, labels = Registry(), columns_of(80), ("a", "b", "c")
    name, origin = find_metric(f"evaluate:{module}", registry)
    assert (name, origin.split(" sha256:")[0]) == (f"evaluate:{module}",) * 2
    assert find_metric(f"evaluate:{module}", registry) == (name, origin), "it is known now"
    metric = make_metric(name, registry)
    assert (metric.names(labels), metric.needs, metric.higher_is_better) == (("sharpness",), {"prediction", "target"}, None)
    expected = f1_score(columns["target"], columns["prediction"], average="macro")
    assert metric.evaluate_columns(columns, labels) == {"sharpness": pytest.approx(expected)}
    counts_RN = np.random.default_rng(1).multinomial(80, [1 / 80] * 80, size=3).astype(float)
    own = F1Macro().resampled(counts_RN, columns, labels)["f1_macro"]
    assert metric.resampled(counts_RN, columns, labels)["sharpness"] == pytest.approx(own)
    interval = metric.intervals(columns, labels, Groups.of(80, ()), seed=0)["sharpness"]
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < expected < interval.high


def test_a_subclass_says_what_the_module_does_not(module: str) -> None:
    facts = {
        "module": module, "arguments": {"predictions": "answer", "references": "truth"}, "options": {"average": "micro"},
        "values": ("sharpness", "nothing"), "higher_is_better": True,
    }  # fmt: skip
    sharp = type("Sharp", (EvaluateModule,), facts)()
    target, answer = columns_of(20).values()
    columns = {"answer": answer, "truth": target}
    assert sharp.evaluate_columns(columns, ()) == {"sharpness": pytest.approx(np.mean(target == answer))}
    assert sharp.undefined(columns, ()) == {"nothing": "the module gives no finite number"}


def test_a_plugin_may_derive_from_a_metric_of_evaluate(module: str) -> None:
    import datasets
    import evaluate

    class Agreement(evaluate.Metric):  # type: ignore[misc]
        """Share of equal columns."""

        name, higher_is_better, needs = "agreement", True, frozenset({"prediction", "target"})

        def _info(self) -> evaluate.MetricInfo:
            features = datasets.Features(dict.fromkeys(("predictions", "references"), datasets.Value("int64")))
            return evaluate.MetricInfo(description="Agreement", citation="", features=features)

        def resampled(self, weights_RN: Any, columns: Any, labels: tuple[str, ...]) -> dict[str, Any]:
            return {"agreement": weights_RN @ (columns["prediction"] == columns["target"]) / weights_RN.sum(1)}

    registry, columns = Registry(), columns_of(60)
    registry.add("metrics", "agreement", Agreement, "a test")
    metric = make_metric("agreement", registry)
    expected = {"agreement": pytest.approx(np.mean(columns["prediction"] == columns["target"]))}
    assert metric.evaluate_columns(columns, ("a", "b", "c")) == expected
    assert metric.intervals(columns, (), Groups.of(60, ()), seed=0)["agreement"].low is not None


def test_a_value_that_the_module_does_not_give_is_named(module: str) -> None:
    kind = type("Kind", (EvaluateModule,), {"module": module, "values": ("dullness",)})
    with pytest.raises(KeyError, match="gives no 'dullness'; set 'values' to some of sharpness, each, nothing"):
        kind().evaluate_columns(columns_of(4), ())


def test_a_module_that_is_nowhere_is_not_downloaded(module: str) -> None:
    with pytest.raises(ConfigError, match="neither a script or folder of this path, nor in its cache; nothing is downloaded"):
        find_metric("evaluate:accuracy_of_nobody", Registry())
    broken = Path(module).parent / "broken.py"
    broken.write_text("import evaluate\nraise RuntimeError('no')\n")
    with pytest.raises(ConfigError, match="cannot be loaded: RuntimeError: no"):
        find_metric(f"evaluate:{broken}", Registry())


def test_records_load_the_module_only_if_it_is_given(module: str, tmp_path: Path) -> None:
    rows = (("good", "positive"), ("bad", "negative"))
    files = {
        "mood.py": "def scores(texts):\n    return [[text.count('bad'), text.count('good')] for text in texts]\n",
        "notes.yaml": "family: text_classification\ndata: {files: notes.jsonl}\ntext: '{{ text }}'\nlabel: mood\n"
        f"labels: [negative, positive]\nmetrics: [accuracy, 'evaluate:{module}']\n",
        "suite.yaml": "models: [{model: 'callable:mood.py:scores', labels: [negative, positive]}]\ntasks: [notes.yaml]\n"
        "gates: [notes.sharpness.value >= 0.9]\n",
        "notes.jsonl": "\n".join(json.dumps({"text": text, "mood": mood}) for text, mood in rows),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    run = tmp_path / "run"
    assert windtunnel("run", tmp_path / "suite.yaml", "--out", run).code == 0
    without = windtunnel("report", run, "--rows")
    assert without.code == 3
    assert f"records load no code: pass the run's plugin file (evaluate:{module} sha256:" in without.out
    assert windtunnel("gate", run, "--plugin", f"evaluate:{module}").code == 0
    (Path(module) / "sharpness.py").write_text(f"{MODULE}\n# edited\n")
    load_module.cache_clear()
    edited = windtunnel("gate", run, "--plugin", f"evaluate:{module}")
    assert edited.code == 2
    assert "pass the module that the run used" in edited.err
