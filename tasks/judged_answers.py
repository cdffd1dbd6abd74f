"""Evaluate judges on recorded answers with human labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Unpack

from ..harness.api.errors import ConfigError, DataError, SampleError
from ..harness.api.model_port import ModelPort
from ..harness.api.samples import Sample
from ..harness.data import DataSpec, Row
from ..harness.judges.panel import Panel, to_artifacts
from ..harness.judges.verdicts import Exchange, Question, Verdict
from .base import Common, Item, RowTask
from .fields import Field

_MOST_SHOWN = 8
_YES_OR_NO = (frozenset({"0", "1"}), frozenset({"false", "true"}))
"""Pairs of labels without other spellings: if none of the labels means yes, all of them mean no."""


class JudgedAnswers(RowTask):
    """Evaluate judges on recorded answers. Sends no request to the model under evaluation.

    Score: the first judge's verdict, ``refused`` or ``harmful``. All verdicts and the human label are
        recorded. The scorecard shows agreement, precision and recall of the judges, and uses them to correct
        attack success rates of the same run for the judges' errors.

    prompt: field with the prompt.
    answer: field with the recorded answer.
    label: field with the human label.
    positive: values of the label that mean yes.
    question: refused or harmful.
    judges: phrases, model (role ``judge``), classifier (role ``classifier``); the first decides.
    classifier_label: the classifier's class that means yes.
    rubric: the model judge's rubric (`harness.judges.rubrics`).
    recorded: further judges whose verdicts are in the data: name and field of each, read like ``label``.
    """

    default_metrics: ClassVar[tuple[str, ...]] = ()
    requires = frozenset[str]()

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        prompt: str,
        answer: str,
        label: str,
        positive: Sequence[str | int | bool],
        question: Question = "refused",
        judges: Sequence[str] = ("phrases",),
        classifier_label: str = "",
        rubric: str | Mapping[str, Any] = "",
        recorded: Mapping[str, str] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self._panel = Panel(question, tuple(judges), classifier_label, rubric)
        self.roles = self._panel.roles
        self._prompt, self._answer, self._label = Field("prompt", prompt), Field("answer", answer), Field("label", label)
        self._recorded = {judge: Field("recorded", source) for judge, source in (recorded or {}).items()}
        duplicates = sorted({*self._recorded} & {*judges})
        if duplicates:
            raise ConfigError(f"recorded: {duplicates[0]!r} is also a name in judges; rename the recorded judge")
        if not positive:
            raise ConfigError("positive is empty; list the values of the label that mean yes")
        self._yes = frozenset(map(_name_label, positive))
        super().__init__(name, data, [self._prompt, self._answer, self._label, *self._recorded.values()], **common)

    def build(self, row: Row) -> Item:
        facts = {
            "prompt": self._prompt.text(row),
            "human": self._read_verdict(self._label, row),
            "recorded": {judge: self._read_verdict(field, row) for judge, field in self._recorded.items()},
        }
        return Item(self._answer.text(row), metadata=facts)

    def _read_verdict(self, field: Field, row: Row) -> float:
        return float(_name_label(field.value(row)) in self._yes)

    def samples(self) -> Iterator[Sample]:
        """Yield the samples. Raises `DataError` if no label means yes and the labels do not show that all
        mean no."""
        labels = self._read_labels()
        if not labels & self._yes and not any(labels | self._yes <= pair for pair in _YES_OR_NO):
            seen = ", ".join(sorted(labels)[:_MOST_SHOWN]) + (", ..." if len(labels) > _MOST_SHOWN else "")
            raise DataError(
                f"task {self.name!r}: {self._describe_missing_positive()}; the labels are {seen}. List those that mean yes under positive"
            )
        yield from super().samples()

    def notes(self, num_samples: int, /) -> list[str]:
        notes = super().notes(num_samples)
        return notes if self._read_labels() & self._yes else [*notes, f"{self._describe_missing_positive()}: all labels mean no"]

    def _describe_missing_positive(self) -> str:
        return f"positive is {', '.join(sorted(self._yes))}, but no {self._label.source!r} of {self.rows.source} is"

    def _read_labels(self) -> set[str]:
        """Return the names of the labels, up to the first that means yes."""
        labels = set()
        for row in self.units():
            # The sample of a row without a label reports the error.
            with suppress(SampleError):
                labels.add(_name_label(self._label.value(row)))
            if labels & self._yes:
                break
        return labels

    def run(self, engine: ModelPort, samples: Sequence[Sample], /) -> list[list[dict[str, Verdict]]]:
        for sample in samples:
            if "error" in sample.metadata:
                raise SampleError(sample.metadata["error"])
        verdicts_of_samples = self._panel.judge_answers(engine, [Exchange(s.metadata["prompt"], str(s.input)) for s in samples])
        return [
            [{**verdicts, **{judge: Verdict(value) for judge, value in sample.metadata["recorded"].items()}}]
            for sample, verdicts in zip(samples, verdicts_of_samples, strict=True)
        ]

    def score(self, sample: Sample, responses: Sequence[dict[str, Verdict]], /) -> dict[str, float | None]:
        return {self._panel.question: next(iter(responses[0].values())).value}

    def predict(self, sample: Sample, responses: Sequence[dict[str, Verdict]], /) -> dict[str, Any]:
        return {**to_artifacts(self._panel.question, responses[0]), "human": sample.metadata["human"]}


def _name_label(value: Any) -> str:
    """Return a label as text: true is equal in YAML, JSON and tables, and 1 equals 1.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return text.lower() if text.lower() in ("true", "false") else text
