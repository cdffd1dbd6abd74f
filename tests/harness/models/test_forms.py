"""One suite with models of seven forms gives one scorecard, and the forms of one checkpoint agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import windtunnel as wt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.tests import tiny

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
skops = pytest.importorskip("skops.io")
exported = pytest.importorskip("windtunnel.tests.exported")

LABELS = list(tiny.LABELS)
TEXTS = ["a good film", "the bad cat", "fine dog in paris", "great", "awful films", "the cat sat on a table"]
TASK = """
family: text_classification
data: {files: moods.jsonl}
text: text
label: label
labels: [negative, neutral, positive]
metrics: [accuracy]
"""


class Scores(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = exported.plain("bert")

    def forward(self, **named: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**named).logits
        return logits


def encode(texts: list[str]) -> Any:
    return tiny.shared("bert").tokenizer(texts, return_tensors="pt", return_offsets_mapping=True)


def constant(texts: list[str]) -> np.ndarray:
    return np.array([[0.2, 0.3, 0.5]] * len(texts))


@pytest.mark.textattack
def test_seven_forms_share_a_suite_and_a_scorecard(tmp_path: Path) -> None:
    (tmp_path / "moods.jsonl").write_text("\n".join(f'{{"text": "{text}", "label": "{LABELS[i % 3]}"}}' for i, text in enumerate(TEXTS)))
    (tmp_path / "moods.yaml").write_text(TASK)
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [LABELS[i % 3] for i in range(len(TEXTS))])
    skops.dump(pipeline, tmp_path / "moods.skops")
    net = TorchModule(Scores(), labels=LABELS, input="text", encode=encode, version="1")
    models = {
        "checkpoint": f"hf:{tiny.checkpoint('bert')}",
        "graph": f"onnx:{exported.folder('bert')}",
        "module": net,
        "pipeline": f"sklearn:{tmp_path / 'moods.skops'}",
        "object": {"model": pipeline, "labels": LABELS},
        "function": {"model": constant, "labels": LABELS, "outputs": "probabilities"},
        "reader": {"model": "hf:" + str(tiny.checkpoint("roberta"))},
    }
    probes = ["occlusion", {"probe": "saliency", "models": ["checkpoint", "module"]}]
    run = wt.evaluate(
        models,
        str(tmp_path / "moods.yaml"),
        [{"attack": "deepwordbug", "stop_words": "builtin"}],
        probes,
        folder=tmp_path / "run",
        progress=False,
        device="cpu",
    )
    assert run.scorecard.complete
    rows = {(row.model, f"{row.item}.{row.name}"): row.estimate.value for row in run.scorecard.rows if not (row.control or row.slice)}
    assert {model for model, name in rows if name == "deepwordbug(moods).robust_accuracy"} == set(models)
    assert {model for model, name in rows if name.startswith("occlusion(moods).comprehensiveness")} == set(models)
    for name in ("moods.accuracy", "deepwordbug(moods).robust_accuracy", "occlusion(moods).comprehensiveness"):
        known = [rows[model, name] for model in ("checkpoint", "graph", "module")]
        assert known == pytest.approx([known[0]] * 3, abs=1e-4)
    slopes = [rows[model, "saliency(moods).comprehensiveness"] for model in ("checkpoint", "module")]
    assert slopes[0] == pytest.approx(slopes[1], abs=1e-4)
