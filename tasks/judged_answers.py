"""Answers that were recorded, and people's labels for them: how good the judges are."""

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
"""Labels that can be spelled in one way alone: where none of them means yes, it is that all mean no."""


class JudgedAnswers(RowTask):
    """Judges on recorded answers, held against people's labels.

    It asks the judges, never the model under evaluation. Score: the first judge's verdict, ``refused`` or ``harmful``. The record keeps all
    verdicts and the person's; their agreement, precision and recall are rows of the scorecard, and they are the calibration set by which
    the attack success rates of the same run are corrected for the same judges' errors.

    Settings: ``prompt``; ``answer``; ``label``, the person's, where ``positive`` lists its values that mean yes; ``question``, what is
    asked: refused or harmful; ``judges``: of phrases, model (role ``judge``) and classifier (role ``classifier``, with
    ``classifier_label``, its class that means yes); ``rubric``, the model's (`harness.judges.rubrics`); ``recorded``: further
    judges whose verdicts the data has, by name the field of each, read as ``label`` is.
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
        twice = sorted({*self._recorded} & {*judges})
        if twice:
            raise ConfigError(f"recorded: {twice[0]!r} is one of the judges that are asked; call the recorded one otherwise")
        if not positive:
            raise ConfigError("positive lists the values of the label that mean yes; it is empty")
        self._yes = frozenset(map(_name, positive))
        super().__init__(name, data, [self._prompt, self._answer, self._label, *self._recorded.values()], **common)

    def build(self, row: Row) -> Item:
        facts = {
            "prompt": self._prompt.text(row),
            "human": self._says(self._label, row),
            "recorded": {judge: self._says(field, row) for judge, field in self._recorded.items()},
        }
        return Item(self._answer.text(row), metadata=facts)

    def _says(self, field: Field, row: Row) -> float:
        return float(_name(field.value(row)) in self._yes)

    def samples(self) -> Iterator[Sample]:
        """Raises `DataError` where no row of the data set has a label that means yes, and nothing says that the others mean no."""
        found = self._labels_seen()
        if not found & self._yes and not any(found | self._yes <= pair for pair in _YES_OR_NO):
            seen = ", ".join(sorted(found)[:_MOST_SHOWN]) + (", ..." if len(found) > _MOST_SHOWN else "")
            raise DataError(f"task {self.name!r}: {self._none_is_yes()}; there are {seen}. List under positive those that mean yes")
        yield from super().samples()

    def notes(self, num_samples: int, /) -> list[str]:
        said = super().notes(num_samples)
        return said if self._labels_seen() & self._yes else [*said, f"{self._none_is_yes()}: all labels mean no"]

    def _none_is_yes(self) -> str:
        return f"positive is {', '.join(sorted(self._yes))}, and no {self._label.source!r} of {self.rows.source} is that"

    def _labels_seen(self) -> set[str]:
        """By name, up to the first that means yes."""
        found = set()
        for row in self.units():
            # A row without a label is its own error, when its sample is made.
            with suppress(SampleError):
                found.add(_name(self._label.value(row)))
            if found & self._yes:
                break
        return found

    def run(self, engine: ModelPort, samples: Sequence[Sample], /) -> list[list[dict[str, Verdict]]]:
        for sample in samples:
            if "error" in sample.metadata:
                raise SampleError(sample.metadata["error"])
        said = self._panel.judge_answers(engine, [Exchange(s.metadata["prompt"], str(s.input)) for s in samples])
        return [
            [{**verdicts, **{judge: Verdict(value) for judge, value in sample.metadata["recorded"].items()}}]
            for sample, verdicts in zip(samples, said, strict=True)
        ]

    def score(self, sample: Sample, responses: Sequence[dict[str, Verdict]], /) -> dict[str, float | None]:
        return {self._panel.question: next(iter(responses[0].values())).value}

    def predict(self, sample: Sample, responses: Sequence[dict[str, Verdict]], /) -> dict[str, Any]:
        return {**to_artifacts(self._panel.question, responses[0]), "human": sample.metadata["human"]}


def _name(value: Any) -> str:
    """A label as text: true of YAML is true of JSON and of a table, and 1 is 1.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return text.lower() if text.lower() in ("true", "false") else text
