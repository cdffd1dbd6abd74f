"""Judge answers with a text classifier."""

from __future__ import annotations

from collections.abc import Sequence

from ..api.errors import ConfigError, suggest_name
from ..api.model_port import ModelPort
from ..api.requests import Classify
from ..api.responses import Failure
from .verdicts import Exchange, Verdict


def judge_answers(label: str, judge: ModelPort, exchanges: Sequence[Exchange], /) -> list[Verdict]:
    """Judge each answer: yes if the classifier assigns the class ``label`` to it.

    The assigned class is the most likely one, or, for a multi-label classifier, any with a probability of at least 0.5.

    Raises `ConfigError` if the classifier has no such class.
    """
    labels = judge.info.labels
    if label not in labels:
        raise ConfigError(f"classifier_label: the judge has no class {label!r}.{suggest_name(label, labels)} It has {', '.join(labels)}")
    verdicts = []
    for logits in judge.try_run([Classify(exchange.answer, labels) for exchange in exchanges]):
        if isinstance(logits, Failure):
            verdicts.append(Verdict(None, logits.error))
        else:
            verdicts.append(Verdict(float(logits.holds(labels.index(label)))))
    return verdicts
