"""Answer questions by a few generated words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

from ..harness.data import DataSpec, Row
from .base import Common
from .extractive_answers import read_answers
from .reference_texts import ReferenceTexts
from .short_answers import compare_answers


class GeneratedAnswers(ReferenceTexts):
    """Generate a short answer. Scores: ``exact_match`` and ``answer_f1`` with the best reference, compared as in SQuAD.

    question: field with the question, or with a passage and the question.
    answers: field with the list of right answers, or with one text.
    prompt: text for language models, with {source} where the question stands.
    max_tokens: maximum length of an answer.
    stop: strings that end an answer.
    header: text before everything.
    num_fewshot: number of few-shot examples, the first rows of fewshot_split.
    fewshot_split: split of the few-shot examples.
    """

    primary = "exact_match"
    default_metrics: ClassVar[tuple[str, ...]] = ("exact_match", "answer_f1")

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        question: str,
        answers: str,
        prompt: str = "Question: {source}\nAnswer:",
        max_tokens: int = 32,
        stop: Sequence[str] = ("\n",),
        header: str = "",
        num_fewshot: int = 0,
        fewshot_split: str = "train",
        **common: Unpack[Common],
    ) -> None:
        fields = self.set_up(
            data, source=question, reference=answers, prompt=prompt, max_tokens=max_tokens, stop=stop, num_fewshot=num_fewshot,
            fewshot_split=fewshot_split, header=header,
        )  # fmt: skip
        super().__init__(name, data, fields, **common)

    def compare(self, source: str, text: str, references: Sequence[str]) -> dict[str, float]:
        return compare_answers(text, references)

    def _write_example(self, row: Row) -> str:
        return f"{self.fill_prompt(self._source.text(row))} {self._list_references(row)[0]}"

    def _list_references(self, row: Row) -> list[str]:
        (answers,) = self._references
        return self.require_references(read_answers(answers, row))
