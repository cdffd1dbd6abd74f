"""Scores of generated texts equal those of the field's libraries, called by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.metrics import corpus_scores, libraries
from windtunnel.harness.metrics.corpus_scores import Bleu, BleuCharacters, Chrf, CorpusScore, Ter
from windtunnel.harness.statistics import estimate

sacrebleu = pytest.importorskip("sacrebleu")
HYPOTHESES = ["the cat sat on the mat", "a dog", "", "there is a house in the old town , said he", "two birds sing"]
REFERENCES: list[list[str]] = [
    ["the cat sat on the mat", "a cat was sitting on the mat"], ["the dog"], ["nothing was said"],
    ["there is a house in the old city, he said", "a house stands in the old town"], ["three birds are singing", "birds sing", "two sing"],
]  # fmt: skip


def make_streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    most = max(map(len, references))
    return [[texts[place] if place < len(texts) else None for texts in references] for place in range(most)]


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [
        (Bleu(), lambda: sacrebleu.metrics.BLEU()),
        (BleuCharacters(), lambda: sacrebleu.metrics.BLEU(tokenize="char")),
        (Chrf(), lambda: sacrebleu.metrics.CHRF()),
        (Ter(), lambda: sacrebleu.metrics.TER()),
    ],
)
def test_a_corpus_score_is_that_of_sacrebleu(metric: CorpusScore, theirs: object) -> None:
    columns = metric.columns(prediction=HYPOTHESES, references=np.array(REFERENCES, dtype=object))
    found = metric.evaluate_columns(columns, ())[metric.name]
    assert found == pytest.approx(theirs().corpus_score(HYPOTHESES, make_streams(REFERENCES)).score)  # type: ignore[operator]
    counts = np.array([[2, 1, 0, 3, 1], [0, 1, 1, 1, 2]])
    for value, row in zip(metric.resampled(counts.astype(float), columns, ())[metric.name], counts, strict=True):
        texts = [text for text, count in zip(HYPOTHESES, row, strict=True) for _ in range(count)]
        references = [some for some, count in zip(REFERENCES, row, strict=True) for _ in range(count)]
        assert value == pytest.approx(theirs().corpus_score(texts, make_streams(references)).score)  # type: ignore[operator]


def test_perfect_translations_have_the_best_scores() -> None:
    texts = [f"sentence number {num} has these words in it" for num in range(8)]
    for metric, best in ((Bleu(), 100.0), (Chrf(), 100.0), (Ter(), 0.0)):
        found = estimate(metric, metric.columns(prediction=texts, references=texts), ())[metric.name]
        assert found.value == pytest.approx(best)


def test_a_signature_names_what_the_score_depends_on() -> None:
    assert Bleu().signature(2).startswith("nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_a_missing_library_is_named_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the package 'sacrebleu', which is not installed: pip install 'windtunnel\[text\]'"):
        corpus_scores.Ter().make_scorer()
