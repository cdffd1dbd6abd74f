"""Which of several continuations the model finds most likely."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Unpack

import numpy as np

from ..harness.api.errors import SampleError
from ..harness.api.requests import LogLikelihood, LogProb
from ..harness.api.samples import Sample
from ..harness.data import DataSpec, Row
from .base import Common, Item, RowTask, softmax
from .few_shot import FewShot
from .fields import Field, choice_index


class MultipleChoice(RowTask):
    """One `LogLikelihood` a choice. The requests and both accuracies are those of lm-evaluation-harness (Gao et al. 2024).

    Scores, with l_i = log p(choice i | context): ``acc``, argmax l_i is the target; ``acc_norm``, argmax l_i / characters of choice i is.
    Kept: the prediction by ``acc``, and softmax(l) as probabilities.

    Settings: ``context``; ``choices``, a field that gives a list, or a list of texts and templates; ``target``, an index or a choice;
    ``delimiter``, between context and choice; ``header``, before everything; ``num_fewshot`` examples, the first rows of ``fewshot_split``.
    """

    requires = frozenset({"loglikelihood", "text"})
    primary = "acc"
    default_metrics: ClassVar[tuple[str, ...]] = ("acc", "acc_norm")

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        context: str,
        choices: str | Sequence[str],
        target: str,
        delimiter: str = " ",
        header: str = "",
        num_fewshot: int = 0,
        fewshot_split: str = "train",
        **common: Unpack[Common],
    ) -> None:
        self._context, self._target = Field("context", context), Field("target", target)
        self._one = Field("choices", choices) if isinstance(choices, str) else None
        self._several = [] if isinstance(choices, str) else [Field("choices", choice, literal=True) for choice in choices]
        self._delimiter = delimiter
        self._fewshot = FewShot(data, num_fewshot, fewshot_split, header)
        super().__init__(name, data, [self._context, self._target, *([self._one] if self._one else self._several)], **common)

    @cached_property
    def prefix(self) -> str:
        """Header and examples. Not part of a sample's input, so that an attack has the question and nothing else to change."""
        return self._fewshot.prefix(lambda: self.rows.rows, self._fields, self._example, self._question)

    def notes(self, num_samples: int, /) -> list[str]:
        return [*super().notes(num_samples), *self._fewshot.notes]

    def _question(self, row: Row) -> str:
        """Context and choices: many questions begin alike, and choices may stand in another order."""
        return "\n".join([self._context.text(row), *sorted(self._choices(row))])

    def _example(self, row: Row) -> str:
        item = self.build(row)
        return f"{item.input}{self._delimiter}{item.labels[item.target]}"

    def _choices(self, row: Row) -> Sequence[str]:
        choices = self._one.value(row) if self._one else [field.text(row) for field in self._several]
        if isinstance(choices, str) or not isinstance(choices, Sequence) or len(choices) < 2:
            raise SampleError(f"choices: a list of two or more is needed, not {choices!r}")
        if not all(isinstance(choice, str) and choice for choice in choices):
            raise SampleError(f"choices: each must be text and not empty, not {choices!r}")
        return choices

    def build(self, row: Row) -> Item:
        choices = self._choices(row)
        return Item(self._context.text(row), choice_index(self._target.value(row), choices), tuple(choices))

    def ask(self, sample: Sample) -> list[LogLikelihood]:
        return [LogLikelihood(f"{self.prefix}{sample.input}", choice, self._delimiter) for choice in sample.labels]

    def score(self, sample: Sample, responses: Sequence[LogProb], /) -> dict[str, float | None]:
        values = np.array([response.value for response in responses])
        lengths = np.array([len(choice) for choice in sample.labels])
        return {
            "acc": float(int(np.argmax(values)) == sample.target),
            "acc_norm": float(int(np.argmax(values / lengths)) == sample.target),
        }

    def predict(self, sample: Sample, responses: Sequence[LogProb], /) -> dict[str, Any]:
        values = [response.value for response in responses]
        return {"prediction": int(np.argmax(values)), "target": sample.target, "probabilities": softmax(values)}
