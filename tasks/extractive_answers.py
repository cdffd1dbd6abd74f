"""Answer questions by a part of a passage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

from ..harness.api.errors import SampleError
from ..harness.api.requests import Answer
from ..harness.api.responses import Span
from ..harness.api.samples import Sample
from ..harness.data import DataSpec, Row
from ..harness.modalities.text import TextPair
from .base import Common, Item, RowTask
from .fields import Field
from .short_answers import compare_answers


class ExtractiveAnswers(RowTask):
    """Find the part of a passage that answers a question: one `Answer` request.

    Scores: ``exact_match`` and ``answer_f1`` with the best reference, compared as in SQuAD. A question without references has no
        answer, and is right if the model says so.

    question: field with the question.
    passage: field with the passage.
    answers: field with the list of right answers (or one text), each a part of the passage; empty: there is none.
    no_answer: how much larger the logit of no answer must be than that of the best span, to answer that there is none; null: never.
    max_tokens: largest number of tokens of an answer.
    """

    requires = frozenset({"answer", "pair"})
    primary = "exact_match"
    hub_task = "question-answering"
    default_metrics: ClassVar[tuple[str, ...]] = ("exact_match", "answer_f1")

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        question: str,
        passage: str,
        answers: str,
        no_answer: float | None = None,
        max_tokens: int = 30,
        **common: Unpack[Common],
    ) -> None:
        self._question, self._passage, self._answers = Field("question", question), Field("passage", passage), Field("answers", answers)
        self._no_answer, self._max_tokens = no_answer, max_tokens
        super().__init__(name, data, [self._question, self._passage, self._answers], **common)

    def build(self, row: Row) -> Item:
        passage, references = self._passage.text(row), read_answers(self._answers, row)
        if absent := next((answer for answer in references if answer not in passage), None):
            raise SampleError(f"answers: {absent!r} is no part of the passage")
        return Item(TextPair(self._question.text(row), passage), references[0] if references else "", metadata={"references": references})

    def ask(self, sample: Sample) -> list[Answer]:
        assert isinstance(sample.input, TextPair)
        return [Answer(sample.input, self._max_tokens)]

    def score(self, sample: Sample, responses: Sequence[Span], /) -> dict[str, float | None]:
        return {**compare_answers(self._read(responses), list(sample.metadata["references"]))}

    def predict(self, sample: Sample, responses: Sequence[Span], /) -> dict[str, Any]:
        (span,) = responses
        windows = {"num_windows": span.num_windows} if span.num_windows > 1 else {}
        return {"prediction": self._read(responses), "target": sample.target, "references": list(sample.metadata["references"]), **windows}

    def _read(self, responses: Sequence[Span]) -> str:
        """Return the answer; empty if there is none."""
        (span,) = responses
        return "" if self._no_answer is not None and span.no_answer - span.score > self._no_answer else span.text


def read_answers(field: Field, row: Row, /) -> list[str]:
    """Return the distinct texts of a list of answers, of one answer, or of SQuAD's mapping with the key ``text``."""
    value = field.value(row)
    if isinstance(value, dict) and "text" in value:
        value = value["text"]
    texts = [value] if isinstance(value, str) else value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(texts, list | tuple) or any(not isinstance(text, str) for text in texts):
        raise SampleError(f"{field.key}: {str(value)[:60]!r} is not a list of texts")
    return list(dict.fromkeys(text for text in texts if text.strip()))
