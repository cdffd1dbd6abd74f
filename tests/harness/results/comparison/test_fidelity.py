"""The same checkpoint in float32 and in bfloat16: how much its outputs differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import yaml
from windtunnel.harness.api.comparison import Comparison
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.samples import Record
from windtunnel.harness.results.compare import compare_paths
from windtunnel.harness.results.comparison.fidelity import compare_outputs
from windtunnel.harness.results.comparison.samples import Records
from windtunnel.harness.store import Store, StoredItem
from windtunnel.tests import tiny
from windtunnel.tests.tiny_words import WORDS
from windtunnel.tests.toys import records_of, windtunnel

LABELS = list(tiny.LABELS)
TASKS: dict[str, dict[str, Any]] = {
    "bert": {"family": "text_classification", "text": "text", "label": "label", "labels": LABELS, "metrics": ["accuracy"]},
    "gpt2": {"family": "multiple_choice", "context": "text", "choices": "choices", "target": "label", "metrics": ["acc"]},
}


def _run(folder: Path, model: str, dtype: str) -> Path:
    rng = np.random.default_rng(0)
    rows = [
        {
            "text": " ".join(rng.choice(WORDS, 6)),
            "choices": ["good", "bad film"],
            "label": place % 2 if model == "gpt2" else LABELS[place % len(LABELS)],
        }
        for place in range(24)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / f"{model}.yaml").write_text(yaml.safe_dump({**TASKS[model], "data": {"files": "rows.jsonl"}}))
    checkpoint = folder / model
    if not checkpoint.exists():
        tiny.save(model, checkpoint)
    suite = {
        "models": [{"model": f"hf:{checkpoint}", "name": "tiny"}], "tasks": [{"task": f"{model}.yaml"}], "dtype": dtype, "device": "cpu",
        "reports": ["json"], "check_drift": False,
    }  # fmt: skip
    path = folder / f"{model}-{dtype}.suite.yaml"
    path.write_text(yaml.safe_dump(suite))
    answer = windtunnel("run", path, "--out", folder / f"{model}-{dtype}", "-q")
    assert answer.code == 0, answer.err
    return folder / f"{model}-{dtype}"


def _compare(folder: Path, model: str) -> tuple[Comparison, list[list[Any]]]:
    runs = [_run(folder, model, dtype) for dtype in ("float32", "bfloat16")]
    (comparison,) = compare_paths(runs[0], [runs[1]])
    return comparison, [next(iter(records_of(run).values())) for run in runs]


def test_a_classifier_in_bfloat16_has_other_probabilities(tmp_path: Path) -> None:
    comparison, pair = _compare(tmp_path, "bert")
    found = {row.name: row.estimate for row in comparison.fidelity}
    before, after = (np.array([record.artifacts["probabilities"] for record in records]) for records in pair)
    divergences = (before * np.log(before / after)).sum(axis=1)
    assert found["kl_divergence"].value == pytest.approx(divergences.mean())
    assert found["max_kl_divergence"].value == pytest.approx(divergences.max())
    assert 0 < divergences.mean() < 0.05
    flipped = (before.argmax(axis=1) != after.argmax(axis=1)).mean()
    assert found["answers_changed"].value == pytest.approx(flipped)


def test_a_language_model_in_bfloat16_has_other_likelihoods(tmp_path: Path) -> None:
    comparison, pair = _compare(tmp_path, "gpt2")
    found = {row.name: row.estimate for row in comparison.fidelity}
    before, after = (np.array([record.artifacts["loglikelihoods"] for record in records]) for records in pair)
    changes = np.abs(before - after).mean(axis=1)
    assert found["loglikelihood_change"].value == pytest.approx(changes.mean())
    assert found["max_loglikelihood_change"].value == pytest.approx(changes.max())
    assert 0 < changes.mean() < 1
    assert found["loglikelihood_change"].n == 24


class _Attributions:
    """Stands for a store: a record per attribution. The last one explains another class."""

    def __init__(self, last_target: int, *values: list[float]) -> None:
        self._values, self._last = values, last_target

    def records(self, item: StoredItem) -> list[Record]:
        targets = [0] * (len(self._values) - 1) + [self._last]
        return [
            Record(str(place), str(item.key), {}, artifacts={"attribution": {"values": values, "target": target}})
            for place, (values, target) in enumerate(zip(self._values, targets, strict=True))
        ]


@pytest.mark.parametrize("num", [0, 3])
def test_explanations_that_moved_are_counted(num: int) -> None:
    key = ItemKey("probe", "t", "occlusion")
    item = StoredItem(1, "m", key, 6, "", "", "", 0, {})
    rising, falling = [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]
    stores = _Attributions(0, *[rising] * 6), _Attributions(1, *[falling] * num, *[rising] * (5 - num), falling)
    before, after = (Records(cast(Store, store), {key: item}) for store in stores)
    rows, flips = compare_outputs(before, after, "m")
    found = {row.metric: row.estimate for row in rows}["explanations_moved"]
    assert (found.value, found.n, len(flips)) == (num / 5, 5, num)
