"""Classes of answers, so that words can be counted over all samples with the same class of answer.

The classes are the labels of a classifier, or the continuations of a language model that chooses among the same
continuations for every sample, such as yes and no. If the task detects refusals, the classes are refused and
answered. All other answers have one class, `ANSWER`: their words are counted together, and the class has no
overprediction.
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
    """Returns the names of classes; None for an unknown class."""

    def explained(self, sample: Sample, explanation: Record, answer: Record | None, /) -> str | None:
        """Return the class that a probe's record explains.

        ``explanation``: the probe's record.
        ``answer``: the task's record of the sample; None if it is missing.
        """
        ...

    def said(self, sample: Sample, judged: Judged, /) -> object:
        """Return the class of a judged answer, or a value that is equal for equal answers."""
        ...

    def own(self, sample: Sample, /) -> str | None:
        """Return the class of the correct answer."""
        ...


class Labels:
    """The labels of the samples as classes."""

    def explained(self, sample: Sample, explanation: Record, answer: Record | None, /) -> str | None:
        return _name(sample, explanation.artifacts["attribution"]["target"])

    def said(self, sample: Sample, judged: Judged, /) -> str | None:
        return _name(sample, (judged.artifacts or {}).get("prediction"))

    def own(self, sample: Sample, /) -> str | None:
        return _name(sample, sample.target)


class Verdicts:
    """The classes refused and answered, as judged by the task."""

    def explained(self, sample: Sample, explanation: Record, answer: Record | None, /) -> str | None:
        return None if answer is None else _get_verdict(answer.scores.get("refused"))

    def said(self, sample: Sample, judged: Judged, /) -> str | None:
        return _get_verdict((judged.scores or {}).get("refused"))

    def own(self, sample: Sample, /) -> str | None:
        return _get_verdict(sample.metadata.get("harmful"))


class OneClass:
    """A single class, `ANSWER`, for all answers."""

    def explained(self, sample: Sample, explanation: Record, answer: Record | None, /) -> str | None:
        return ANSWER

    def said(self, sample: Sample, judged: Judged, /) -> object:
        """Return the answer that the task extracted (possibly None), or else the text, in a list; None without both."""
        artifacts = judged.artifacts or {}
        return next(([artifacts[name]] for name in ("prediction", "output") if name in artifacts), None)

    def own(self, sample: Sample, /) -> str | None:
        return None


def choose_answer_classes(task: Task, probe: Probe, samples: Iterable[Sample], answers: Iterable[Record], /) -> AnswerClasses:
    """Choose the classes of the answers to a task.

    ``probe``: the probe that explains the answers.
    ``samples``: the task's samples.
    ``answers``: the task's records, which are read up to the first with scores.
    """
    if "classify" in task.requires or ("loglikelihood" in task.requires and _share_labels(samples)):
        return Labels()
    scored = next((record.scores for record in answers if record.scores), {})
    return Verdicts() if "refused" in scored and probe.target != "gold" else OneClass()


def _share_labels(samples: Iterable[Sample]) -> bool:
    """Tell whether all samples have the same labels, except for samples that could not be read."""
    each = (sample.labels for sample in samples if not sample.metadata.get("error"))
    first = next(each, ())
    return bool(first) and all(labels == first for labels in each)


def _name(sample: Sample, index: Any) -> str | None:
    """Return the label with an index; the index as text if the sample has no such label; None if it is no integer."""
    if not isinstance(index, Integral):
        return None
    place = int(index)
    return sample.labels[place] if 0 <= place < len(sample.labels) else str(place)


def _get_verdict(is_refused: Any) -> str | None:
    return None if is_refused is None else "refused" if is_refused else "answered"
