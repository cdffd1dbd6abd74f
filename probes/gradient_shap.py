"""Gradient SHAP (Lundberg, Lee 2017, arXiv:1705.07874; Erion et al. 2019, arXiv:1906.10670)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..harness.errors import ConfigError
from .baselines import Baseline
from .gradients import GradientProbe, Rows

if TYPE_CHECKING:
    import torch


class GradientShap(GradientProbe):
    """The gradient at random points between a neutral input and the noisy sample, times their difference, averaged.

    points: how many are drawn, by the sample's id. noise: standard deviation of the noise that is added to the sample, in its own unit.
    target: the explained class, ``predicted`` or ``gold``. seed: of the draw.
    Text: the neutral input is padding tokens between the special tokens, and sub-tokens are gathered to words. Images: it is black, and
    channels are summed. baseline: as of ``integrated_gradients``. Many points give integrated gradients without noise, at random points
    of the line instead of chosen ones.
    Reference: S. Lundberg, S.-I. Lee. A Unified Approach to Interpreting Model Predictions. NeurIPS 2017.
    """

    def __init__(
        self, *, points: int = 50, noise: float = 0.0, target: str = "predicted", seed: int = 0, baseline: Baseline = None
    ) -> None:  # fmt: skip
        super().__init__(target=target, num_points=points, seed=seed, baseline=baseline)
        if noise < 0:
            raise ConfigError(f"noise is a standard deviation, not {noise}")
        self.noise = noise

    def points(self, rows: Rows, /) -> tuple[torch.Tensor, torch.Tensor | None]:
        share = rows.per_row([self.rng(step)(sample.id).random() for sample, step in zip(rows.samples, rows.steps, strict=True)])
        noisy = rows.features
        if self.noise:
            noisy = noisy + self.noise * rows.drawn(_after_the_share, self.rng)
        return rows.baseline + share * (noisy - rows.baseline), noisy - rows.baseline


def _after_the_share(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    rng.random()
    return rng.standard_normal(shape)
