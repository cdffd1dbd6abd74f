"""Translation and summarisation, against sacrebleu and rouge-score called by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.errors import ConfigError, DataError, SampleError
from windtunnel.harness.api.responses import Completion
from windtunnel.harness.data import DataSpec
from windtunnel.harness.data.load import load
from windtunnel.tasks.summarisation import Summarisation
from windtunnel.tasks.translation import Translation

ROWS = [
    {"de": "Der Hund schläft.", "en": "The dog sleeps.", "more": ["The dog is asleep.", "A dog sleeps."]},
    {"de": "Guten Tag", "en": "Good day", "more": []},
    {"de": "Nichts", "en": "  ", "more": []},
    {"de": "Zahl", "en": 3, "more": ["x"]},
]


def answer(text: str) -> list[Completion]:
    return [Completion(text, 3, "stop")]


@pytest.fixture
def rows(tmp_path: Path) -> DataSpec:
    file = tmp_path / "rows.py"
    file.write_text(f"def rows():\n    return {ROWS!r}\n")
    return DataSpec.parse({"python": f"{file}:rows"})


def make(data: DataSpec, **settings: Any) -> Translation:
    pytest.importorskip("sacrebleu")
    return Translation("t", data, source="de", **({"reference": ["en", "more"]} | settings))


def test_a_translation_is_compared_with_all_its_references(rows: DataSpec) -> None:
    task = make(rows, prompt="German: {source}\nEnglish:", header="Translate.\n", stop=["\n"])
    first, second, *broken = task.samples()
    (request,) = task.requests(first)
    assert (request.prompt, request.stop) == ("Translate.\nGerman: Der Hund schläft.\nEnglish:", ("\n",))  # type: ignore[attr-defined]
    import sacrebleu

    scores = task.score(first, answer(" The dog is sleeping. \n"))
    expected = sacrebleu.sentence_chrf("The dog is sleeping.", ["The dog sleeps.", "The dog is asleep.", "A dog sleeps."]).score
    assert scores == {"sentence_chrf": pytest.approx(expected), "adequate": 1.0}
    assert task.score(second, answer("Bad night"))["adequate"] == 0.0
    assert task.predict(first, answer(" x "))["references"] == ["The dog sleeps.", "The dog is asleep.", "A dog sleeps."]
    for sample, why in zip(broken, ("all references are empty", "3 is not text"), strict=True):
        with pytest.raises(SampleError, match=why):
            task.requests(sample)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"prompt": "Translate:"}, "write {source} once"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"reference": []}, "name at least one field"),
    ],
)
def test_wrong_settings_are_refused(rows: DataSpec, settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        make(rows, **settings)


def test_a_summary_is_compared_as_rouge_score_does(tmp_path: Path) -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rouge2", "rougeLsum"], use_stemmer=True)
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "The dog sleeps all day in the old house", "summary": "The dog sleeps in the house"}\n')
    task = Summarisation("s", DataSpec.parse({"files": str(file)}), source="text", reference="summary")
    (sample,) = task.samples()
    text = "The dog sleeps all night"
    scores = task.score(sample, answer(text))
    expected = scorer.score("The dog sleeps in the house", text)
    assert {name: scores[name] for name in expected} == {name: pytest.approx(found.fmeasure) for name, found in expected.items()}
    assert scores["novel_bigrams"] == 1 / 4  # "all night"
    assert scores["compression"] == 5 / 9
    assert task.score(sample, answer(""))["novel_bigrams"] is None


def test_parallel_files_are_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.de").write_text("eins\nzwei\n\n", encoding="utf-8")
    (tmp_path / "a.en").write_text("one\ntwo\n\n", encoding="utf-8")
    spec = {"files": [str(tmp_path / "a.de"), str(tmp_path / "a.en")], "format": "parallel"}
    read = load(DataSpec.parse(spec))
    assert [dict(row) for row in read.rows] == [
        {"source": "eins", "target": "one"},
        {"source": "zwei", "target": "two"},
        {"source": "", "target": ""},
    ]
    assert list(load(DataSpec.parse(spec | {"options": {"column_names": ["de", "en"]}})).columns) == ["de", "en"]
    (tmp_path / "a.en").write_text("one\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.en has 1 lines, fewer than the other files"):
        load(DataSpec.parse(spec))
    with pytest.raises(DataError, match="one file per column"):
        load(DataSpec.parse(spec | {"files": str(tmp_path / "a.de")}))
