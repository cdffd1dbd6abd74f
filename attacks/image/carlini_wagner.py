"""Carlini and Wagner's L2 attack, which minimises distance and margin together (2017, arXiv:1608.04644)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...harness.api.errors import ConfigError
from ...harness.api.settings import Amount, Count, Size
from .base import NearestTwin
from .losses import compute_margin
from .lp_geometry import spread_over_pixels
from .victims import Victims

if TYPE_CHECKING:
    import torch

_SHRINK = 0.999999
"""Keeps the inverse hyperbolic tangent finite for black and white pixels."""


class CarliniWagner(NearestTwin):
    """Minimise the squared L2 distance plus c times the margin with Adam, and search c for each sample.

    The margin term is confidence - margin of the wrong classes, while it is above 0. Pixels are hyperbolic
    tangents, so they stay in [0, 1].

    epsilon: maximum L2 distance in [0, 1] pixel units. Default: none; then every sample with an adversarial
        example counts as broken, and ``mean_l2`` is the mean distance.
    steps: maximum number of Adam steps per c; a sample stops if its objective fell by less than 0.01 % over a
        tenth of them.
    step_size: step size of Adam.
    searches: number of values of c.
    first_c: first value of c.
    confidence: minimum lead of a wrong logit.
    epsilons: radii for ``robust_accuracy[RADIUS]``; they cost nothing.

    nearest: distance of the adversarial example, or None. num_queries: forward passes, each with its
        gradient.

    Reference: N. Carlini, D. Wagner. Towards Evaluating the Robustness of Neural Networks. IEEE S&P 2017.
    """

    def __init__(
        self, *, epsilon: float | None = None, steps: Count = 1000, step_size: Size = 0.01, searches: Count = 9, first_c: Size = 1e-3,
        confidence: Amount = 0.0, epsilons: Sequence[float] = (),
    ) -> None:  # fmt: skip
        if steps < 1 or searches < 1 or not step_size > 0 or not first_c > 0 or not confidence >= 0:
            raise ConfigError("carlini_wagner needs steps, searches, step_size and first_c above 0, and no negative confidence")
        super().__init__(epsilon, "l2", epsilons)
        self.steps, self.step_size, self.searches, self.first_c, self.confidence = steps, step_size, searches, first_c, confidence

    def search(self, victims: Victims, /) -> None:
        import torch

        rows_B = victims.rows_B
        low_B, high_B = (torch.full_like(victims.clean[:, 0, 0, 0], value) for value in (0.0, math.inf))
        c_B = torch.full_like(low_B, self.first_c)
        victims.nearer(rows_B, victims.clean, victims.wrong(victims.clean, rows_B))
        for _ in range(self.searches):
            is_broken_B = self._minimise(victims, c_B)
            low_B, high_B = torch.where(is_broken_B, low_B, c_B), torch.where(is_broken_B, c_B, high_B)
            c_B = torch.where(high_B.isinf(), 10 * c_B, (low_B + high_B) / 2)

    def _minimise(self, victims: Victims, c_B: torch.Tensor) -> torch.Tensor:
        """Minimise the objective for one c per image.

        Returns whether any iterate was misclassified with the required confidence [B].
        """
        import torch

        rows_N, is_broken_B = victims.rows_B, torch.zeros_like(victims.fallen_B)
        inner = torch.atanh((2 * victims.clean - 1) * _SHRINK)
        # Computed like the iterates, with the same rounding, so that the start has distance 0.
        centre = (inner.tanh() + 1) / 2
        mean, spread = torch.zeros_like(inner), torch.zeros_like(inner)
        before_N = torch.full_like(c_B, math.inf)
        for step in range(1, self.steps + 1):
            pixels = (inner.tanh() + 1) / 2
            slope = victims.climb(pixels, rows_N, compute_margin)
            is_far_N = slope.loss <= self.confidence
            broken_N = slope.wrong & (slope.loss >= self.confidence)
            is_broken_B[rows_N] |= broken_N
            victims.nearer(rows_N, pixels, broken_N)
            delta, weight_N = pixels - centre, c_B[rows_N] * is_far_N
            # Chain rule: d pixels / d inner = 2 pixels (1 - pixels).
            gradient = (2 * delta - spread_over_pixels(weight_N) * slope.gradient) * 2 * pixels * (1 - pixels)
            mean, spread = 0.9 * mean + 0.1 * gradient, 0.999 * spread + 0.001 * gradient**2
            inner = inner - self.step_size * (mean / (1 - 0.9**step)) / ((spread / (1 - 0.999**step)).sqrt() + 1e-8)
            if step % max(self.steps // 10, 1) == 0:
                objective_N = (delta**2).flatten(1).sum(1) + weight_N * (self.confidence - slope.loss)
                going_N = objective_N < 0.9999 * before_N
                rows_N, inner, centre, mean, spread = (t[going_N] for t in (rows_N, inner, centre, mean, spread))
                before_N = objective_N[going_N]
                if not len(rows_N):
                    break
        return is_broken_B
