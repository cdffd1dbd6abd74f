"""Questions to a probe: explain a class of a classifier, or one continuation of a language model's prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...api.probe import Probe
from ...api.samples import Attribution, Sample
from ...engine import Engine
from ...engine.continuations import ContinuationPort, Frame
from .faithfulness.sensitivity import explain_class
from .records import attribute_samples


@dataclass(frozen=True, slots=True)
class Question:
    """A sample, and the class of it to explain.

    target: index of the class. For a language model it is 0: the continuation is the sample's only label.
    frame: parts of the prompt around the sample's text; None for a classifier.
    """

    sample: Sample
    target: int
    frame: Frame | None = None


def answers(engine: Engine, probe: Probe, asked: Mapping[str, Question], /) -> dict[str, Attribution | str]:
    """Return the probe's attribution for each question, or the error, with the keys of ``asked``.

    asked: the questions by key. Questions with the same frame go to the probe in one call.
    """
    frames: dict[Frame | None, dict[str, tuple[Sample, int]]] = {}
    for key, question in asked.items():
        frames.setdefault(question.frame, {})[key] = question.sample, question.target
    found: dict[str, Attribution | str] = {}
    for frame, members in frames.items():
        found |= explain_class(attribute_samples, engine if frame is None else ContinuationPort(engine, frame), probe, members)
    return found
