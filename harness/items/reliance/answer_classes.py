"""What class an answer is of, by name: so that words can be counted over all samples that were answered alike.

A classifier's answers have classes, and so have those of a language model that chooses among the same continuations each time (yes or no).
Where a task says whether an answer is a refusal, that is its class. All other answers are one class, `ANSWER`: their words are counted
together, and nothing is said of how often the class is predicted.
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any, Protocol

from ...api.probe import Probe
from ...api.samples import Record, Sample
from ...api.task import Task
from ..task.records import Judged

ANSWER = "answer"


class AnswerClasses(Protocol):
    """Names are None where nobody knows."""

    def explained(self, sample: Sample, explanation: Record, answer: Record | None, /) -> str | None:
        """Of what a probe's record explains. ``answer``: the task's record of the sample."""
        ...

    def said(self, sample: Sample, judged: Judged, /) -> object:
        """Of an answer; two that are equal say the same."""
        ...

    def own(self, sample: Sample, /) -> str | None:
        """Of the answer that the sample should get."""
        ...


class Labels:
    """The sample's labels."""

    def explained(self, sample: Sample, explanation: Record, answer: Record | None, /) -> str | None:
        return _name(sample, explanation.artifacts["attribution"]["target"])

    def said(self, sample: Sample, judged: Judged, /) -> str | None:
        return _name(sample, (judged.artifacts or {}).get("prediction"))

    def own(self, sample: Sample, /) -> str | None:
        return _name(sample, sample.target)


class Verdicts:
    """Refused or answered, as the task judges it."""

    def explained(self, sample: Sample, explanation: Record, answer: Record | None, /) -> str | None:
        return None if answer is None else _verdict(answer.scores.get("refused"))

    def said(self, sample: Sample, judged: Judged, /) -> str | None:
        return _verdict((judged.scores or {}).get("refused"))

    def own(self, sample: Sample, /) -> str | None:
        return _verdict(sample.metadata.get("harmful"))


class OneClass:
    def explained(self, sample: Sample, explanation: Record, answer: Record | None, /) -> str | None:
        return ANSWER

    def said(self, sample: Sample, judged: Judged, /) -> object:
        """What the task read out of it, which may be nothing; else the text."""
        artifacts = judged.artifacts or {}
        return next(([artifacts[name]] for name in ("prediction", "output") if name in artifacts), None)

    def own(self, sample: Sample, /) -> str | None:
        return None


def choose_answer_classes(task: Task, probe: Probe, samples: Iterable[Sample], answers: Iterable[Record], /) -> AnswerClasses:
    """``answers``: the task's records, until one has scores."""
    if "classify" in task.requires or ("loglikelihood" in task.requires and _share_labels(samples)):
        return Labels()
    scored = next((record.scores for record in answers if record.scores), {})
    return Verdicts() if "refused" in scored and probe.target != "gold" else OneClass()


def _share_labels(samples: Iterable[Sample]) -> bool:
    """Of those that could be read at all."""
    each = (sample.labels for sample in samples if not sample.metadata.get("error"))
    first = next(each, ())
    return bool(first) and all(labels == first for labels in each)


def _name(sample: Sample, index: Any) -> str | None:
    """A class without a name goes by its number."""
    if not isinstance(index, Integral):
        return None
    place = int(index)
    return sample.labels[place] if 0 <= place < len(sample.labels) else str(place)


def _verdict(is_refused: Any) -> str | None:
    return None if is_refused is None else "refused" if is_refused else "answered"
