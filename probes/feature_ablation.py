"""Feature ablation: leave out one part, and see how far the logit falls (Li, Monroe, Jurafsky 2016, arXiv:1612.08220)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..harness.api.settings import Count
from .perturbation import Logit, Mask, Parts, Perturbation, Values


class FeatureAblation(Perturbation):
    """How far the explained class's logit falls without each word of a text, or each patch of an image.

    target: the explained class, ``predicted`` or ``gold``. grid: patches a side that an image is cut into.
    Words are cut out with all their sub-tokens, patches get the image's mean colour, as where faithfulness is measured. Any model that
    classifies will do; it is asked once a part. num_evaluations: inputs that were asked, the full one with them.
    Reference: J. Li, W. Monroe, D. Jurafsky. Understanding Neural Networks through Representation Erasure. 2016.
    """

    def __init__(self, *, target: str = "predicted", grid: Count = 8) -> None:
        super().__init__(target=target, grid=grid)

    def masks(self, parts: Parts, rng: np.random.Generator, /) -> Iterator[Mask]:
        yield from ~np.eye(parts.size, dtype=bool)

    def combine(self, parts: Parts, rng: np.random.Generator, logit: Logit, /) -> Values:
        return logit(np.ones(parts.size, dtype=bool)) - np.array([logit(mask) for mask in self.masks(parts, rng)])
