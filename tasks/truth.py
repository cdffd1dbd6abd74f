"""Measure how much probability a model gives to true answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

import numpy as np

from ..harness.api.errors import SampleError
from ..harness.api.requests import LogLikelihood
from ..harness.api.responses import LogProb
from ..harness.api.samples import Sample
from ..harness.data import DataSpec, Row
from .base import Common, Item, RowTask, compute_softmax
from .fields import Field


class Truth(RowTask):
    """Measure the probability of true answers, with one `LogLikelihood` request per answer (Lin et al. 2022).

    Score: ``mc2``, the sum of p(answer | question) over true answers divided by the sum over all answers. The
        normalised probability of each answer is recorded.

    context: field with the question.
    choices: field with a list of answers.
    truths: field with a list of the same length, 1 for each true answer.
    delimiter: text between context and answer.
    header: text before everything.
    """

    requires = frozenset({"loglikelihood", "text"})
    default_metrics: ClassVar[tuple[str, ...]] = ("mc2",)

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        context: str,
        choices: str,
        truths: str,
        delimiter: str = " ",
        header: str = "",
        **common: Unpack[Common],
    ) -> None:
        self._context, self._choices, self._truths = Field("context", context), Field("choices", choices), Field("truths", truths)
        self._delimiter, self._header = delimiter, header
        super().__init__(name, data, [self._context, self._choices, self._truths], **common)

    def build(self, row: Row) -> Item:
        choices, truths = list(self._choices.value(row)), [bool(truth) for truth in self._truths.value(row)]
        if len(choices) != len(truths) or not all(isinstance(choice, str) and choice for choice in choices):
            raise SampleError(f"choices: must be {len(truths)} non-empty texts, one per entry of truths; there are {len(choices)} entries")
        if not any(truths) or all(truths):
            raise SampleError("truths: needs at least one true and one false answer")
        return Item(self._context.text(row), None, tuple(choices), {"truths": truths})

    def ask(self, sample: Sample) -> list[LogLikelihood]:
        return [LogLikelihood(f"{self._header}{sample.input}", choice, self._delimiter) for choice in sample.labels]

    def score(self, sample: Sample, responses: Sequence[LogProb], /) -> dict[str, float | None]:
        shares = compute_softmax([response.value for response in responses])
        return {"mc2": min(1.0, float(np.sum(np.array(shares)[sample.metadata["truths"]])))}

    def predict(self, sample: Sample, responses: Sequence[LogProb], /) -> dict[str, Any]:
        return {"probabilities": compute_softmax([response.value for response in responses])}
