"""A text classifier as judge of answers."""

from __future__ import annotations

from collections.abc import Sequence

from ..api.errors import ConfigError, did_you_mean
from ..api.model_port import ModelPort
from ..api.requests import Classify, Failure
from .verdicts import Answered, Verdict


def verdicts(label: str, judge: ModelPort, answers: Sequence[Answered], /) -> list[Verdict]:
    """Yes where the answer's class is ``label``, one of the classifier's own: the likeliest one, or, where they do not exclude each
    other, one that is as likely as not. Raises `ConfigError` where it is none of them."""
    labels = judge.info.labels
    if label not in labels:
        raise ConfigError(f"classifier_label: the judge has no class {label!r}.{did_you_mean(label, labels)} It has {', '.join(labels)}")
    found = []
    for said in judge.try_run([Classify(answered.answer, labels) for answered in answers]):
        if isinstance(said, Failure):
            found.append(Verdict(None, said.error))
        else:
            found.append(Verdict(float(said.holds(labels.index(label)))))
    return found
