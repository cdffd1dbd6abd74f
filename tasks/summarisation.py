"""Summarise texts, and compare the summaries with written ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Unpack

from ..harness.data import DataSpec
from ..harness.metrics.libraries import import_library, require_library
from ..harness.modalities.words import word_spans
from .base import Common
from .reference_texts import SOURCE, ReferenceTexts

ROUGES = ("rouge1", "rouge2", "rougeLsum")


class Summarisation(ReferenceTexts):
    """Summarise a text. ROUGE is rouge-score's, with its stemmer, against the best of several references.

    Scores: ``rouge1``, ``rouge2``, ``rougeLsum``, F-scores of shared words, pairs of words and longest common sequences;
        ``novel_bigrams``, the share of the summary's pairs of words that the text does not have; ``compression``, words of the
        summary per word of the text; ``adequate``, 1 if rouge1 is at least the setting ``adequate``. Attacks succeed on a summary that
        was adequate and no longer is.

    source: field with the text.
    reference: field with the summary, or with a list of summaries; or several fields.
    prompt: text for language models, with {source} where the source stands. Encoder-decoders need none.
    max_tokens: maximum length of a summary.
    stop: strings that end a summary.
    adequate: smallest rouge1 of an adequate summary.
    header: text before everything.
    num_fewshot: number of few-shot examples, the first rows of fewshot_split.
    fewshot_split: split of the few-shot examples.
    """

    default_metrics: ClassVar[tuple[str, ...]] = (*ROUGES, "novel_bigrams", "compression", "adequate")

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        source: str,
        reference: str | Sequence[str],
        prompt: str = SOURCE,
        max_tokens: int = 128,
        stop: Sequence[str] = (),
        adequate: float = 0.3,
        header: str = "",
        num_fewshot: int = 0,
        fewshot_split: str = "train",
        **common: Unpack[Common],
    ) -> None:
        require_library("rouge_score", f"the task {name!r}")
        self._adequate = adequate
        fields = self.set_up(
            data, source=source, reference=reference, prompt=prompt, max_tokens=max_tokens, stop=stop, num_fewshot=num_fewshot,
            fewshot_split=fewshot_split, header=header,
        )  # fmt: skip
        super().__init__(name, data, fields, **common)

    @cached_property
    def _scorer(self) -> Any:
        return import_library("rouge_score.rouge_scorer", "summarisation").RougeScorer(list(ROUGES), use_stemmer=True)

    def compare(self, source: str, text: str, references: Sequence[str]) -> dict[str, float | None]:
        found = self._scorer.score_multi(list(references), text)
        words, own = _list_words(source), _list_words(text)
        pairs, known = list(pairwise(own)), set(pairwise(words))
        return {
            **{name: float(found[name].fmeasure) for name in ROUGES},
            "novel_bigrams": sum(pair not in known for pair in pairs) / len(pairs) if pairs else None,
            "compression": len(own) / len(words) if words else None,
            "adequate": float(found["rouge1"].fmeasure >= self._adequate),
        }


def _list_words(text: str) -> list[str]:
    return [text[start:end].lower() for start, end in word_spans(text)]
