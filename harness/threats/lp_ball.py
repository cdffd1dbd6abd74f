"""Threat model for images: an L-p ball around the clean image."""

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
from ..modalities.base import require_modality

_ROUNDING = 1e-6
"""Tolerance for float32 projection onto the surface of the ball, in pixel units (pixels are in [0, 1])."""


@dataclass(frozen=True, slots=True)
class LpBall(Threat):
    """All images within a distance of the clean image.

    epsilon: radius, with pixels in [0, 1]; None for any image of the same shape, for attacks that minimise the distance.
    norm: ``linf`` or ``l2``.
    """

    epsilon: Amount | None
    norm: str = "linf"

    def __post_init__(self) -> None:
        if self.norm not in ("linf", "l2"):
            raise ConfigError(f"the norm of an L-p ball must be 'linf' or 'l2', not {self.norm!r}")
        check_fields("threat 'lp'", self)
        if self.epsilon is not None and self.norm == "linf" and self.epsilon >= 1:
            raise ConfigError(
                f"epsilon must be below 1, not {self.epsilon!r}: pixels are in [0, 1], and every image is within 1 of any other; "
                f"did you mean {self.epsilon:g}/255? Write {self.epsilon / 255:.4g}"
            )

    def check_input(self, clean: Sample, /) -> None:
        """Raise `ConfigError` if the sample is not an image, or if the ball includes every image of its shape."""
        size = _get_pixels(clean).size
        if self.epsilon is not None and self.norm == "l2" and self.epsilon >= math.sqrt(size):
            raise ConfigError(
                f"epsilon must be below {math.sqrt(size):.4g}, not {self.epsilon!r}: pixels are in [0, 1], and two images of {size} "
                f"values are never farther apart by l2; did you mean {self.epsilon:g}/255? Write {self.epsilon / 255:.4g}"
            )

    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        """Whether the perturbed sample is an image with pixels in [0, 1] in the ball."""
        before, after = _get_pixels(clean), require_modality(perturbed.input).pixels(perturbed.input)
        if after is None:
            return False
        # These comparisons are false for NaN.
        if after.shape != before.shape or not bool(np.all((after >= 0) & (after <= 1))):
            return False
        return self.epsilon is None or bool(is_within(self.distance(clean, perturbed)[self.norm], self.epsilon))

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        """Return the ``linf`` and ``l2`` distances, with pixels in [0, 1].

        Raises `ConfigError` if a sample is not an image, `ValueError` if the shapes differ.
        """
        before, after = _get_pixels(clean), _get_pixels(perturbed)
        if before.shape != after.shape:
            raise ValueError(f"images of shapes {before.shape} and {after.shape} have no distance")
        delta = after.astype(np.float64) - before.astype(np.float64)
        return {"linf": float(np.abs(delta).max(initial=0.0)), "l2": float(np.sqrt((delta**2).sum()))}


def is_within(distance: Any, epsilon: float, /) -> Any:
    """Whether ``distance <= epsilon`` up to rounding, for a number or an array."""
    return distance <= epsilon + _ROUNDING * max(1.0, epsilon)


def _get_pixels(sample: Sample) -> np.ndarray:
    known = require_modality(sample.input)
    pixels = known.pixels(sample.input)
    if pixels is None:
        raise ConfigError(f"threat 'lp', an L-p ball, needs images; sample {sample.id!r} is a {known.name}")
    return pixels
