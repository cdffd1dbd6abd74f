"""Score one given continuation: its likelihood, and whether it is the model's greedy choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

from ..harness.api.requests import LogLikelihood
from ..harness.api.responses import LogProb
from ..harness.api.samples import Sample
from ..harness.data import DataSpec, Row
from .base import Common, Item, RowTask
from .fields import Field


class Cloze(RowTask):
    """Score a given continuation with one `LogLikelihood` request.

    Scores: ``acc``, 1 if every token of the target is the model's most likely one; ``loglikelihood``,
        ``num_tokens``, ``num_words`` and ``num_bytes`` of the target. With one-word targets, as in LAMBADA,
        ``word_perplexity`` is exp of the mean -log p(target).

    context: field with the text before the target.
    target: field with the continuation.
    delimiter: text between both.
    """

    requires = frozenset({"loglikelihood", "text"})
    primary = "acc"
    default_metrics: ClassVar[tuple[str, ...]] = ("acc", "word_perplexity")

    def __init__(self, name: str, data: DataSpec, *, context: str, target: str, delimiter: str = " ", **common: Unpack[Common]) -> None:
        self._context, self._target, self._delimiter = Field("context", context), Field("target", target), delimiter
        super().__init__(name, data, [self._context, self._target], **common)

    def build(self, row: Row) -> Item:
        return Item(self._context.text(row), self._target.text(row))

    def ask(self, sample: Sample) -> list[LogLikelihood]:
        return [LogLikelihood(str(sample.input), str(sample.target), self._delimiter)]

    def score(self, sample: Sample, responses: Sequence[LogProb], /) -> dict[str, float | None]:
        (answer,) = responses
        return {"acc": float(answer.is_greedy), **count_text(sample.target, answer)}

    def predict(self, sample: Sample, responses: Sequence[LogProb], /) -> dict[str, Any]:
        return {"target": sample.target}


def count_text(text: str, answer: LogProb, /) -> dict[str, float]:
    """Return the inputs of perplexity: the model's ``loglikelihood`` (nats) and ``num_tokens``, and the
    number of whitespace-separated words and of UTF-8 bytes."""
    return {
        "loglikelihood": answer.value,
        "num_tokens": float(answer.num_tokens),
        "num_words": float(len(text.split())),
        "num_bytes": float(len(text.encode("utf-8", "surrogatepass"))),
    }
