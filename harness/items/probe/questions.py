"""What a probe is asked of one sample: to explain a class of a classifier, or one continuation of a language model's prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...api.probe import Probe
from ...api.samples import Attribution, Sample
from ...engine import Engine
from ...engine.continuations import ContinuationPort, Frame
from .faithfulness.sensitivity import explained_as
from .records import attributed


@dataclass(frozen=True, slots=True)
class Question:
    """``target``: the class. Of a language model the sample has the continuation as its only label, so that it is 0, and a ``frame``."""

    sample: Sample
    target: int
    frame: Frame | None = None


def answers(engine: Engine, probe: Probe, asked: Mapping[str, Question], /) -> dict[str, Attribution | str]:
    """The probe's attributions, or why there is none. Those of one frame are explained together."""
    frames: dict[Frame | None, dict[str, tuple[Sample, int]]] = {}
    for key, question in asked.items():
        frames.setdefault(question.frame, {})[key] = question.sample, question.target
    found: dict[str, Attribution | str] = {}
    for frame, members in frames.items():
        found |= explained_as(attributed, engine if frame is None else ContinuationPort(engine, frame), probe, members)
    return found
