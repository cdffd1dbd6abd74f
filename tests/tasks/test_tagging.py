"""Entities are counted as seqeval counts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.errors import ConfigError, SampleError
from windtunnel.harness.api.requests import Tag
from windtunnel.harness.api.responses import Tags
from windtunnel.harness.data import DataSpec
from windtunnel.harness.metrics.entities import EntityF1, EntityPrecision, EntityRecall
from windtunnel.harness.statistics.groups import Groups
from windtunnel.tasks.tagging import Tagging

seqeval = pytest.importorskip("seqeval.metrics")
NAMED = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"], ["B-ORG", "B-ORG", "I-ORG"], ["S-PER", "O", "B-LOC", "E-LOC"], ["O", "I-LOC"]]
PREDICTED = [
    ["B-PER", "I-PER", "O", "B-PER"],
    ["O", "B-LOC"],
    ["B-ORG", "I-ORG", "I-ORG"],
    ["S-PER", "O", "B-LOC", "E-LOC"],
    ["O", "B-LOC"],
]


def make(tmp_path: Path, rows: list[dict[str, Any]], **settings: Any) -> Tagging:
    file = tmp_path / "rows.py"
    file.write_text(f"def rows():\n    return {rows!r}\n")
    return Tagging("t", DataSpec.parse({"python": f"{file}:rows"}), words="words", tags="tags", **settings)


def answer(tags: list[str]) -> list[Tags]:
    return [Tags(tuple(tags), (-0.1,) * len(tags))]


def test_scores_equal_seqeval(tmp_path: Path) -> None:
    task = make(tmp_path, [{"words": [f"w{i}" for i in range(len(tags))], "tags": tags} for tags in NAMED])
    samples = list(task.samples())
    assert task.requests(samples[0]) == [Tag("w0 w1 w2 w3")]
    scores = [task.score(sample, answer(tags)) for sample, tags in zip(samples, PREDICTED, strict=True)]
    assert [score["correct"] for score in scores] == [0.0, 0.0, 0.0, 1.0, 1.0]
    columns = {name: np.array([score[name] for score in scores], dtype=float) for name in EntityF1.needs}
    for metric, theirs in ((EntityF1(), "f1_score"), (EntityPrecision(), "precision_score"), (EntityRecall(), "recall_score")):
        expected = getattr(seqeval, theirs)(NAMED, PREDICTED)
        assert metric.evaluate_columns(columns, ())[metric.name] == pytest.approx(expected)


def test_numbers_are_names_and_types_of_the_model_can_be_mapped(tmp_path: Path) -> None:
    task = make(tmp_path, [{"words": ["Ada", "met", "Bo"], "tags": [1, 0, 1]}], tag_names=["O", "B-PER"], tag_map={"PERSON": "PER"})
    (sample,) = task.samples()
    assert sample.target == ["B-PER", "O", "B-PER"]
    assert task.score(sample, answer(["B-PERSON", "O", "B-PERSON"]))["correct"] == 1.0
    assert task.predict(sample, answer(["B-PERSON", "O", "O"])) == {"prediction": "B-PER O O", "target": "B-PER O B-PER"}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"words": ["a", "b"], "tags": ["O"]}, "2 words and 1 tags"),
        ({"words": ["a b"], "tags": ["O"]}, "is not one word"),
        ({"words": ["a"], "tags": ["PER"]}, "neither O nor a prefix and a type"),
        ({"words": ["a"], "tags": [7]}, "7 is no index of tag_names"),
        ({"words": [], "tags": []}, "is not a list"),
    ],
)
def test_a_row_outside_of_the_scheme_is_one_bad_sample(tmp_path: Path, row: dict[str, Any], why: str) -> None:
    task = make(tmp_path, [row, {"words": ["x"], "tags": ["O"]}])
    bad, good = task.samples()
    with pytest.raises(SampleError, match=why):
        task.requests(bad)
    assert task.requests(good) == [Tag("x")]


def test_a_wrong_tag_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tag_names: 'PER' is neither"):
        make(tmp_path, [], tag_names=["O", "PER"])


def test_a_share_of_no_entities_has_no_value() -> None:
    columns = {name: np.zeros(3) for name in EntityF1.needs} | {"entities_named": np.array([2.0, 0.0, 1.0])}
    assert EntityPrecision().evaluate_columns(columns, ()) == {}
    assert EntityPrecision().intervals(columns, (), Groups.of(3), 0) == {}
    assert EntityPrecision().undefined(columns, ()) == {"entity_precision": "there are no entities to divide by"}
    assert EntityRecall().evaluate_columns(columns, ()) == {"entity_recall": 0.0}
    values = EntityRecall().resampled(np.array([[1.0, 1.0, 1.0], [0.0, 3.0, 0.0]]), columns, ())["entity_recall"]
    assert values[0] == 0.0
    assert np.isnan(values[1]), "a resample without a named entity has no recall"
