"""Feature ablation: the decrease of the logit without a part (Li, Monroe, Jurafsky 2016, arXiv:1612.08220)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..harness.api.settings import Count
from .perturbation import Logit, Mask, Parts, Perturbation, Values


class FeatureAblation(Perturbation):
    """Decrease of the explained class's logit without each word of a text or each patch of an image.

    target: explained class, ``predicted`` or ``gold``.
    grid: patches per side of an image.

    Words are cut with all their sub-tokens, and patches get the image's mean colour, as in the faithfulness
    scores. Works with any classifier. One query per part. num_evaluations: number of evaluated inputs,
    including the full one.

    Reference: J. Li, W. Monroe, D. Jurafsky. Understanding Neural Networks through Representation Erasure.
    2016.
    """

    def __init__(self, *, target: str = "predicted", grid: Count = 8) -> None:
        super().__init__(target=target, grid=grid)

    def masks(self, parts: Parts, rng: np.random.Generator, /) -> Iterator[Mask]:
        yield from ~np.eye(parts.size, dtype=bool)

    def combine(self, parts: Parts, rng: np.random.Generator, logit: Logit, /) -> Values:
        return logit(np.ones(parts.size, dtype=bool)) - np.array([logit(mask) for mask in self.masks(parts, rng)])
