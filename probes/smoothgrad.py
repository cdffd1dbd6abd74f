"""SmoothGrad (Smilkov, Thorat, Kim, Viégas, Wattenberg 2017, arXiv:1706.03825)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..harness.api.errors import ConfigError
from ..harness.api.settings import Count, Share
from .gradients import GradientProbe, Rows

if TYPE_CHECKING:
    import torch


class SmoothGrad(GradientProbe):
    """Saliency averaged over noisy copies of the input.

    points: number of noisy copies, drawn by the sample's id.
    noise: standard deviation of the noise, as a share of the range of the sample's values (largest minus
        smallest; the paper recommends 0.1 to 0.2).
    target: explained class, ``predicted`` or ``gold``.
    seed: seed of the noise.

    Reference: D. Smilkov, N. Thorat, B. Kim, F. Viégas, M. Wattenberg. SmoothGrad: removing noise by adding
    noise. 2017.
    """

    def __init__(self, *, points: Count = 25, noise: Share = 0.15, target: str = "predicted", seed: int = 0) -> None:
        super().__init__(target=target, num_points=points, seed=seed)
        if noise < 0:
            raise ConfigError(f"noise is a standard deviation, not {noise}")
        self.noise = noise

    def points(self, rows: Rows, /) -> tuple[torch.Tensor, torch.Tensor | None]:
        return rows.noise(self.rng).mul_(self.noise * rows.ranges()).add_(rows.features), None
