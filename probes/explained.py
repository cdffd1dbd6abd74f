"""Which class a probe explains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..harness.errors import ConfigError, SampleError
from ..harness.plugins import ModelPort
from ..harness.requests import Classify
from ..harness.samples import Sample


def checked_target(target: str, /) -> str:
    if target not in ("predicted", "gold"):
        raise ConfigError(f"target is 'predicted' or 'gold', not {target!r}")
    return target


def explained_classes(engine: ModelPort, samples: Sequence[Sample], target: str, /) -> list[int]:
    """``predicted``: the class of the largest logit. ``gold``: the sample's own; a sample that has none is a `SampleError`."""
    if target == "predicted":
        return [int(np.argmax(logits.values)) for logits in engine.run([Classify(s.input, s.labels) for s in samples])]
    without = next((s for s in samples if not isinstance(s.target, int | np.integer)), None)
    if without is not None:
        raise SampleError(f"target: gold needs the index of the sample's class, not {without.target!r}")
    return [int(s.target) for s in samples]
