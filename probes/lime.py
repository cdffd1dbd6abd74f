"""LIME: a sparse linear model around one input (Ribeiro, Singh, Guestrin 2016, arXiv:1602.04938)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..harness.api.errors import ConfigError
from ..harness.api.settings import Amount, Count, Size
from .perturbation import Logit, Mask, Parts, Perturbation, Values


class Lime(Perturbation):
    """Fit a sparse linear model of the explained class's logit to random subsets near the input.

    subsets: number of subsets, drawn by the sample's id; each part is in half of them.
    kernel_width: width of the exponential kernel on the cosine distance between a subset and the whole input.
    alpha: penalty of the lasso, which sets small coefficients to 0.
    target: explained class, ``predicted`` or ``gold``.
    grid: patches per side of an image.
    seed: seed of the draws.

    Words are cut with all their sub-tokens, and patches get the image's mean colour, as in the faithfulness
    scores. Works with any classifier. num_evaluations: number of evaluated inputs.

    Reference: M. Ribeiro, S. Singh, C. Guestrin. "Why Should I Trust You?" Explaining the Predictions of Any
    Classifier. KDD 2016.
    """

    def __init__(
        self,
        *,
        subsets: Count = 200,
        kernel_width: Size = 0.25,
        alpha: Amount = 0.01,
        target: str = "predicted",
        grid: Count = 8,
        seed: int = 0,
    ) -> None:
        super().__init__(target=target, grid=grid, seed=seed)
        if subsets < 1 or not kernel_width > 0 or not alpha > 0:
            raise ConfigError(f"lime needs subsets >= 1, kernel_width > 0 and alpha > 0, not {subsets}, {kernel_width} and {alpha}")
        self.subsets, self.kernel_width, self.alpha = subsets, kernel_width, alpha

    def masks(self, parts: Parts, rng: np.random.Generator, /) -> Iterator[Mask]:
        for _ in range(self.subsets):
            yield rng.random(parts.size) < 0.5

    def combine(self, parts: Parts, rng: np.random.Generator, logit: Logit, /) -> Values:
        from sklearn.linear_model import Lasso

        masks = np.array(list(self.masks(parts, rng)))
        # The cosine between a subset and the whole input is the square root of the share of parts in the subset.
        distances = 1 - np.sqrt(masks.mean(1))
        weights = np.exp(-(distances**2) / (2 * self.kernel_width**2))
        fitted = Lasso(alpha=self.alpha).fit(masks.astype(np.float64), [logit(mask) for mask in masks], weights)
        return np.asarray(fitted.coef_, dtype=np.float64)
