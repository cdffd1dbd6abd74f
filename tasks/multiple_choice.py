"""Choose the most likely of several continuations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from string import ascii_uppercase
from typing import Any, ClassVar, Unpack

import numpy as np

from ..harness.api.errors import SampleError
from ..harness.api.requests import Generate, LogLikelihood
from ..harness.api.responses import Completion, LogProb
from ..harness.api.samples import Sample
from ..harness.api.task import Task
from ..harness.data import DataSpec, Row
from .base import Common, Item, RowTask, compute_softmax
from .few_shot import FewShot
from .fields import Field, find_choice
from .letters import read_letter, write_letters

_MAX_TOKENS = 32
"""Enough for a short sentence around a letter."""


class MultipleChoice(RowTask):
    """Choose the most likely continuation, with one `LogLikelihood` request per choice.

    Scores, with l_i = log p(choice i | context): ``acc``, 1 if argmax l_i is the target; ``acc_norm``, 1 if
    argmax l_i / characters of choice i is. Requests and scores are those of lm-evaluation-harness (Gao et al.
    2024). The prediction by ``acc`` and softmax(l) are recorded.

    context: field with the question.
    choices: field with a list of choices, or a list of texts and templates.
    target: field with the index or text of the correct choice.
    delimiter: text between context and choice.
    header: text before everything.
    num_fewshot: number of few-shot examples, the first rows of fewshot_split.
    fewshot_split: split of the few-shot examples.
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
        self._choice_list = Field("choices", choices) if isinstance(choices, str) else None
        self._choice_fields = [] if isinstance(choices, str) else [Field("choices", choice, literal=True) for choice in choices]
        self._delimiter = delimiter
        self._fewshot = FewShot(data, num_fewshot, fewshot_split, header)
        choice_fields = [self._choice_list] if self._choice_list else self._choice_fields
        super().__init__(name, data, [self._context, self._target, *choice_fields], **common)

    @cached_property
    def prefix(self) -> str:
        """Header and few-shot examples. They are not part of a sample's input, so an attack changes only the
        question."""
        return self._fewshot.prefix(lambda: self.rows.rows, self._fields, self._write_example, self._write_question)

    def notes(self, num_samples: int, /) -> list[str]:
        return [*super().notes(num_samples), *self._fewshot.notes]

    def _write_question(self, row: Row) -> str:
        """Return context and sorted choices: contexts alone are often equal, and the order of choices may
        differ."""
        return "\n".join([self._context.text(row), *sorted(self._read_choices(row))])

    def _write_example(self, row: Row) -> str:
        item = self.build(row)
        return f"{item.input}{self._delimiter}{item.labels[item.target]}"

    def _read_choices(self, row: Row) -> Sequence[str]:
        choices = self._choice_list.value(row) if self._choice_list else [field.text(row) for field in self._choice_fields]
        if isinstance(choices, str) or not isinstance(choices, Sequence) or len(choices) < 2:
            raise SampleError(f"choices: must be a list of two or more, not {choices!r}")
        if not all(isinstance(choice, str) and choice for choice in choices):
            raise SampleError(f"choices: each must be non-empty text, not {choices!r}")
        return choices

    def build(self, row: Row) -> Item:
        choices = self._read_choices(row)
        return Item(self._context.text(row), find_choice(self._target.value(row), choices), tuple(choices))

    def ask(self, sample: Sample) -> list[LogLikelihood]:
        return [LogLikelihood(f"{self.prefix}{sample.input}", choice, self._delimiter) for choice in sample.labels]

    def by_generation(self) -> Task | None:
        return LetteredChoice(self)

    def score(self, sample: Sample, responses: Sequence[LogProb], /) -> dict[str, float | None]:
        values = np.array([response.value for response in responses])
        lengths = np.array([len(choice) for choice in sample.labels])
        return {
            "acc": float(int(np.argmax(values)) == sample.target),
            "acc_norm": float(int(np.argmax(values / lengths)) == sample.target),
        }

    def predict(self, sample: Sample, responses: Sequence[LogProb], /) -> dict[str, Any]:
        values = [response.value for response in responses]
        return {"prediction": int(np.argmax(values)), "target": sample.target, "probabilities": compute_softmax(values)}


class LetteredChoice(MultipleChoice):
    """The samples of a `MultipleChoice` task, with the choices listed under letters, and one `Generate` request for the letter.

    Score: ``acc``, 1 if the letter is the target's. An answer without a letter is wrong, and its prediction None.

    plain: the task.
    """

    requires = frozenset({"generate", "text"})
    default_metrics: ClassVar[tuple[str, ...]] = ("acc",)

    def __init__(self, plain: MultipleChoice) -> None:
        # The same settings and rows. The prefix has letters too.
        vars(self).update({name: value for name, value in vars(plain).items() if name != "prefix"})
        self.metrics = self.default_metrics

    @cached_property
    def prefix(self) -> str:
        return self._fewshot.prefix(lambda: self.rows.rows, self._fields, self._write_example, self._write_question)

    def by_generation(self) -> Task | None:
        return None

    def cautions(self, num_samples: int, parts: Mapping[str, Mapping[str, int]], /) -> list[str]:
        letters = "the model gives no log-likelihoods, so it answers by generated letters: do not compare with accuracy by likelihood"
        return [*super().cautions(num_samples, parts), letters]

    def _write_example(self, row: Row) -> str:
        item = self.build(row)
        return f"{write_letters(str(item.input), item.labels)} {ascii_uppercase[item.target]}"

    def ask(self, sample: Sample) -> list[Generate]:  # type: ignore[override]
        if len(sample.labels) > len(ascii_uppercase):
            raise SampleError(f"there are letters for {len(ascii_uppercase)} choices, not for {len(sample.labels)}")
        return [Generate(f"{self.prefix}{write_letters(str(sample.input), sample.labels)}", _MAX_TOKENS)]

    def score(self, sample: Sample, responses: Sequence[Completion], /) -> dict[str, float | None]:  # type: ignore[override]
        return {"acc": float(read_letter(responses[0].text, len(sample.labels)) == sample.target)}

    def predict(self, sample: Sample, responses: Sequence[Completion], /) -> dict[str, Any]:  # type: ignore[override]
        text = responses[0].text
        return {"prediction": read_letter(text, len(sample.labels)), "target": sample.target, "completion": text}
