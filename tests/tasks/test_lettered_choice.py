"""Multiple choice on models that generate text but give no log-likelihoods."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from windtunnel.harness.api.requests import Generate
from windtunnel.harness.api.responses import Completion
from windtunnel.harness.data import DataSpec
from windtunnel.tasks.letters import read_letter
from windtunnel.tasks.multiple_choice import LetteredChoice, MultipleChoice
from windtunnel.tests.toys import results_of, windtunnel

ROWS = [
    {"q": "Which is an animal?", "c": ["a car", "a cat"], "a": 1},
    {"q": "Which is a colour?", "c": ["red", "loud"], "a": 0},
    {"q": "Which is a number?", "c": ["tree", "two"], "a": 1},
]
MODEL = """
def say(texts):
    return ["A. red" if "colour" in text else "The answer is B." if "animal" in text else "no idea" for text in texts]
"""


def write_rows(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    return path


def make_task(folder: Path, **settings: object) -> MultipleChoice:
    data = DataSpec.parse({"files": str(write_rows(folder))}, folder)
    return MultipleChoice("which", data, context="{{ q }}", choices="c", target="a", **settings)  # type: ignore[arg-type]


def test_choices_are_listed_under_letters_and_the_letter_is_scored(tmp_path: Path) -> None:
    plain = make_task(tmp_path)
    task = plain.by_generation()
    assert isinstance(task, LetteredChoice)
    assert task.requires == {"generate", "text"}
    assert [sample.id for sample in task.samples()] == [sample.id for sample in plain.samples()]
    first, *_ = task.samples()
    (request,) = task.requests(first)
    assert isinstance(request, Generate)
    assert request.prompt == "Which is an animal?\nA. a car\nB. a cat\nAnswer with the letter only.\nAnswer:"
    assert task.score(first, [Completion(" B", 1, "stop")]) == {"acc": 1.0}
    assert task.score(first, [Completion("A", 1, "stop")]) == {"acc": 0.0}
    assert task.predict(first, [Completion("none", 1, "stop")])["prediction"] is None


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("C", 2), (" c.", 2), ("(C) is right", 2), ("**C**", 2), ("C) because A is not", 2), ("I think the answer is C", 2),
        ("A dog is an animal, so option C.", 2), ("It could be A or B.", None), ("E", None), ("", None), ("Because", None), ("I", None),
    ],
)  # fmt: skip
def test_letters_are_read_from_sentences(text: str, index: int | None) -> None:
    assert read_letter(text, 4) == index


def test_each_model_gets_the_form_that_it_can_answer(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    write_rows(tmp_path)
    (tmp_path / "which.yaml").write_text("family: multiple_choice\ndata: {files: rows.jsonl}\ncontext: '{{ q }}'\nchoices: c\ntarget: a\n")
    models = [
        {"name": "says", "model": f"callable:{tmp_path / 'model.py'}:say", "answers": "generate"},
        {"name": "scores", "model": "toy:bytes"},
        {"name": "classifies", "model": "toy:words"},
    ]
    suite = tmp_path / "suite.json"
    suite.write_text(json.dumps({"models": models, "tasks": [{"task": str(tmp_path / "which.yaml")}], "reports": ["json"]}))
    answer = windtunnel("run", suite, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    results = results_of(tmp_path / "run")
    accuracies = {(row["model"], row["metric"]): row["estimate"]["value"] for row in results["rows"] if row["metric"].startswith("acc")}
    assert accuracies["says", "acc"] == pytest.approx(2 / 3)
    assert set(accuracies) == {("says", "acc"), ("scores", "acc"), ("scores", "acc_norm")}
    flags = [flag for flag in results["manifest"]["flags"] if "generated letters" in flag]
    assert len(flags) == 1
    assert flags[0].startswith("says/which")
