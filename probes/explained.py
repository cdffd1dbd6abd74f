"""Choose the class that a probe explains, and copy a probe for a trial before the run."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ..harness.api.errors import ConfigError, SampleError
from ..harness.api.model_port import ModelPort
from ..harness.api.requests import Classify
from ..harness.api.samples import Sample

P = TypeVar("P")


def check_target(target: str, /) -> str:
    """Return the setting. Raises `ConfigError` unless it is ``predicted`` or ``gold``."""
    if target not in ("predicted", "gold"):
        raise ConfigError(f"target is 'predicted' or 'gold', not {target!r}")
    return target


def choose_classes(engine: ModelPort, samples: Sequence[Sample], target: str | None, /) -> list[int]:
    """Return the index of the explained class of each sample.

    engine: the engine.
    samples: samples to explain.
    target: ``predicted`` for the class of the largest logit, ``gold`` for the sample's own class.
    Raises `SampleError` if ``target`` is ``gold`` and a sample has no class.
    """
    if target != "gold":
        return [int(np.argmax(logits.values)) for logits in engine.run([Classify(s.input, s.labels) for s in samples])]
    without = next((s for s in samples if not isinstance(s.target, int | np.integer)), None)
    if without is not None:
        raise SampleError(f"target: gold needs the index of the sample's class, not {without.target!r}")
    return [int(s.target) for s in samples]


def copy_with(probe: P, /, **settings: object) -> P:
    """Return a copy of the probe with other settings, e.g. a single step.

    A trial with it checks cheaply the settings that depend on the model.
    """
    trial = copy.copy(probe)
    for name, value in settings.items():
        setattr(trial, name, value)
    return trial
