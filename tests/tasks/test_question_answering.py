"""Questions that are answered by a span or by generated words, with SQuAD's comparison by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.errors import DataError, SampleError
from windtunnel.harness.api.requests import Answer, Generate
from windtunnel.harness.api.responses import Completion, Span
from windtunnel.harness.data import DataSpec
from windtunnel.harness.data.load import load
from windtunnel.harness.modalities.text import TextPair
from windtunnel.tasks.extractive_answers import ExtractiveAnswers
from windtunnel.tasks.generated_answers import GeneratedAnswers
from windtunnel.tasks.short_answers import compare_answers

PASSAGE = "Ada met Bo in Paris."


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1"),
    [
        ("The Eiffel tower!", ["eiffel tower"], 1.0, 1.0),
        ("an old tower", ["the tower", "old"], 0.0, 2 / 3),
        ("", [], 1.0, 1.0),
        ("something", [], 0.0, 0.0),
        ("", ["something"], 0.0, 0.0),
        ("the", ["a"], 1.0, 1.0),
        ("red red blue", ["red blue blue"], 0.0, 2 / 3),
    ],
)
def test_answers_are_compared_as_in_squad(answer: str, references: list[str], exact: float, f1: float) -> None:
    assert compare_answers(answer, references) == {"exact_match": exact, "answer_f1": pytest.approx(f1)}


def make(tmp_path: Path, rows: list[dict[str, Any]], **settings: Any) -> ExtractiveAnswers:
    file = tmp_path / "rows.py"
    file.write_text(f"def rows():\n    return {rows!r}\n")
    spec = DataSpec.parse({"python": f"{file}:rows"})
    return ExtractiveAnswers("t", spec, question="question", passage="context", answers="answers", **settings)


def test_a_span_is_right_or_there_is_no_answer(tmp_path: Path) -> None:
    rows = [
        {"question": "Whom?", "context": PASSAGE, "answers": {"text": ["Bo", "Bo"], "answer_start": [8, 8]}},
        {"question": "Whose?", "context": PASSAGE, "answers": []},
        {"question": "Where?", "context": PASSAGE, "answers": ["Rome"]},
    ]
    task = make(tmp_path, rows, no_answer=1.0)
    first, second, absent = task.samples()
    assert task.requests(first) == [Answer(TextPair("Whom?", PASSAGE), 30)]
    sure, unsure = Span("Bo", 8, 10, 2.0, 1.0), Span("Bo", 8, 10, 2.0, 3.5, 2)
    assert [task.score(sample, [span])["exact_match"] for sample in (first, second) for span in (sure, unsure)] == [1.0, 0.0, 0.0, 1.0]
    assert task.predict(first, [unsure]) == {"prediction": "", "target": "Bo", "references": ["Bo"], "num_windows": 2}
    with pytest.raises(SampleError, match="'Rome' is no part of the passage"):
        task.requests(absent)
    always = make(tmp_path, rows)
    assert always.score(second, [unsure])["exact_match"] == 0.0


def test_a_generated_answer_has_several_right_names(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "Who?", "answer": ["Ada", "Ada L."]}\n{"question": "What?", "answer": []}\n')
    task = GeneratedAnswers("g", DataSpec.parse({"files": str(file)}), question="question", answers="answer")
    sample, without = task.samples()
    assert task.requests(sample) == [Generate("Question: Who?\nAnswer:", 32, ("\n",))]
    assert task.score(sample, [Completion(" ada l\n", 3, "stop")]) == {"exact_match": 1.0, "answer_f1": 1.0}
    with pytest.raises(SampleError, match="all references are empty"):
        task.requests(without)


def test_files_of_squad_are_read_as_published(tmp_path: Path) -> None:
    file = tmp_path / "dev.json"
    asked = [
        {"id": "a", "question": "Whom?", "answers": [{"text": "Bo", "answer_start": 8}]},
        {"id": "b", "question": "Whose?", "answers": [], "is_impossible": True},
    ]
    file.write_text(json.dumps({"version": "1", "data": [{"title": "Ada", "paragraphs": [{"context": PASSAGE, "qas": asked}]}]}))
    spec = DataSpec.parse({"files": str(file), "format": "squad"})
    rows = [dict(row) for row in load(spec).rows]
    assert [(row["id"], row["answers"], row["is_impossible"], row["context"]) for row in rows] == [
        ("a", ["Bo"], False, PASSAGE), ("b", [], True, PASSAGE),
    ]  # fmt: skip
    file.write_text('{"data": [{"title": "Ada"}]}')
    with pytest.raises(DataError, match="has not the shape of SQuAD's files"):
        load(spec)
