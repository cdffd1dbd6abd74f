"""Gradient SHAP (Lundberg, Lee 2017, arXiv:1705.07874; Erion et al. 2019, arXiv:1906.10670)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..harness.api.errors import ConfigError
from ..harness.api.settings import Amount, Count
from .baselines import Baseline
from .gradients import GradientProbe, Rows

if TYPE_CHECKING:
    import torch


class GradientShap(GradientProbe):
    """Average the gradient at random points between a neutral input and the noisy sample, times their
    difference.

    points: number of points, drawn by the sample's id.
    noise: standard deviation of the noise added to the sample, in the sample's own unit.
    target: explained class, ``predicted`` or ``gold``.
    seed: seed of the draws.
    baseline: neutral input; see ``integrated_gradients``.

    Sub-tokens are gathered to words, and channels are summed. With many points and no noise it converges to
    integrated gradients.

    Reference: S. Lundberg, S.-I. Lee. A Unified Approach to Interpreting Model Predictions. NeurIPS 2017.
    """

    def __init__(
        self, *, points: Count = 50, noise: Amount = 0.0, target: str = "predicted", seed: int = 0, baseline: Baseline = None
    ) -> None:  # fmt: skip
        super().__init__(target=target, num_points=points, seed=seed, baseline=baseline)
        if noise < 0:
            raise ConfigError(f"noise is a standard deviation, not {noise}")
        self.noise = noise

    def points(self, rows: Rows, /) -> tuple[torch.Tensor, torch.Tensor | None]:
        # The 63 bits of a seed are uniform already; creating a generator per row takes ten times as long.
        seeds = (self.rng(step).seed(sample.id) for sample, step in zip(rows.samples, rows.steps, strict=True))
        share = rows.per_row([seed / 2**63 for seed in seeds])
        noisy = rows.features
        if self.noise:
            noisy = noisy + self.noise * rows.noise(self.rng)
        return rows.baseline + share * (noisy - rows.baseline), noisy - rows.baseline
