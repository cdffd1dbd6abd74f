"""Images near the clean one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..api.errors import ConfigError
from ..api.samples import Sample
from ..api.settings import Amount, check_fields
from ..api.threat import Threat
from ..modalities.image import Image

_ROUNDING = 1e-6
"""Slack for float32 projection: a point put on the ball's surface may land this far outside of it (pixels are in [0, 1])."""


@dataclass(frozen=True, slots=True)
class LpBall(Threat):
    """Every perturbed image within ``epsilon`` of the clean one, in [0, 1] pixel space. ``norm``: ``linf`` or ``l2``.

    ``epsilon`` None: any image of the clean one's shape, for attacks that look for the nearest twin.
    """

    epsilon: Amount | None
    norm: str = "linf"

    def __post_init__(self) -> None:
        if self.norm not in ("linf", "l2"):
            raise ConfigError(f"an L-p ball has norm 'linf' or 'l2', not {self.norm!r}")
        check_fields("threat 'lp'", self)
        if self.epsilon is not None and self.norm == "linf" and self.epsilon >= 1:
            raise ConfigError(
                f"epsilon is below 1, not {self.epsilon!r}: pixels are in [0, 1], and every image is within 1 of any other; "
                f"did you mean {self.epsilon:g}/255? Write {self.epsilon / 255:.4g}"
            )

    def check_input(self, clean: Sample, /) -> None:
        """Raises `ConfigError` where the sample is no image, or every image of its shape is in the ball."""
        size = _pixels(clean).size
        if self.epsilon is not None and self.norm == "l2" and self.epsilon >= math.sqrt(size):
            raise ConfigError(
                f"epsilon is below {math.sqrt(size):.4g}, not {self.epsilon!r}: pixels are in [0, 1], and two images of {size} values are "
                f"never farther apart by l2; did you mean {self.epsilon:g}/255? Write {self.epsilon / 255:.4g}"
            )

    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        before = _pixels(clean)
        if not isinstance(perturbed.input, Image):
            return False
        after = _pixels(perturbed)
        # NaN is in no interval: these comparisons are false for it.
        if after.shape != before.shape or not bool(np.all((after >= 0) & (after <= 1))):
            return False
        return self.epsilon is None or bool(is_within(self.distance(clean, perturbed)[self.norm], self.epsilon))

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        """Raises `ConfigError` where one is no image, `ValueError` where their shapes differ."""
        before, after = _pixels(clean), _pixels(perturbed)
        if before.shape != after.shape:
            raise ValueError(f"images of shapes {before.shape} and {after.shape} have no distance")
        delta = after.astype(np.float64) - before.astype(np.float64)
        return {"linf": float(np.abs(delta).max(initial=0.0)), "l2": float(np.sqrt((delta**2).sum()))}


def is_within(distance: Any, epsilon: float, /) -> Any:
    """``distance <= epsilon``, but for rounding; of a number or of an array."""
    return distance <= epsilon + _ROUNDING * max(1.0, epsilon)


def _pixels(sample: Sample) -> np.ndarray:
    if not isinstance(sample.input, Image):
        raise ConfigError(f"an L-p ball is about images; sample {sample.id!r} is a {type(sample.input).__name__}")
    pixels = sample.input.pixels
    scale = np.float32(255) if pixels.dtype == np.uint8 else np.float32(1)
    return np.asarray(pixels, dtype=np.float32) / scale
