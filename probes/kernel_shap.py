"""Kernel SHAP: Shapley values by weighted regression on random subsets (Lundberg, Lee 2017, arXiv:1705.07874)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from ..harness.api.errors import ConfigError
from ..harness.api.settings import Count
from .perturbation import Logit, Mask, Parts, Perturbation, Values

_ENDS = 1e6
"""Weight of the full and the empty input as in Captum; infinite in the paper."""


class KernelShap(Perturbation):
    """Fit a linear model of the explained class's logit to random subsets of the parts under the Shapley
    kernel.

    subsets: number of subsets, drawn by the sample's id: first the size, in proportion to 1 / (size * (parts
        - size)), then the parts uniformly. This is the kernel, so all subsets weigh the same, except the full
        and the empty input, which the fit must match.
    target: explained class, ``predicted`` or ``gold``.
    grid: patches per side of an image.
    seed: seed of the draws.

    With fewer subsets than parts, the solution with the smallest norm is used. Words are cut with all their
    sub-tokens, and patches get the image's mean colour, as in the faithfulness scores. Works with any
    classifier.

    completeness_error: |sum of attributions - (logit of the input - logit of the empty input)|.
        num_evaluations: number of evaluated inputs. The regression uses float64: in float32 the weight of the
        full and the empty input costs two digits if there are many parts.

    Reference: S. Lundberg, S.-I. Lee. A Unified Approach to Interpreting Model Predictions. NeurIPS 2017,
    theorem 2.
    """

    sums: ClassVar[bool] = True

    def __init__(self, *, subsets: Count = 200, target: str = "predicted", grid: Count = 8, seed: int = 0) -> None:
        super().__init__(target=target, grid=grid, seed=seed)
        if subsets < 1:
            raise ConfigError(f"kernel_shap needs at least one subset, not {subsets}")
        self.subsets = subsets

    def masks(self, parts: Parts, rng: np.random.Generator, /) -> Iterator[Mask]:
        yield np.ones(parts.size, dtype=bool)
        yield np.zeros(parts.size, dtype=bool)
        sizes = np.arange(1, parts.size)
        kernel = 1 / (sizes * (parts.size - sizes))
        # A single part has no subsets besides the full and the empty one.
        for size in rng.choice(sizes, self.subsets, p=kernel / kernel.sum()) if sizes.size else ():
            mask = np.zeros(parts.size, dtype=bool)
            mask[rng.choice(parts.size, size, replace=False)] = True
            yield mask

    def combine(self, parts: Parts, rng: np.random.Generator, logit: Logit, /) -> Values:
        from sklearn.linear_model import LinearRegression

        masks = list(self.masks(parts, rng))
        weights = np.array([_ENDS, _ENDS, *[1.0] * (len(masks) - 2)])
        fitted = LinearRegression().fit(np.array(masks, dtype=np.float64), [logit(mask) for mask in masks], weights)
        return np.asarray(fitted.coef_, dtype=np.float64)
