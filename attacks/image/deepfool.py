"""DeepFool: Newton steps to the nearest linearised boundary (Moosavi-Dezfooli et al. 2016, arXiv:1511.04599)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...harness.api.errors import ConfigError
from ...harness.api.settings import Amount, Count
from .base import NearestTwin
from .losses import find_likeliest_others
from .lp_geometry import find_direction, measure_dual_length, measure_length, spread_over_pixels
from .victims import Victims

if TYPE_CHECKING:
    import torch

_LEAST = 0.002
"""Minimum length of a step, as a share of the path so far. Black and white pixels cannot follow every step, so steps
fall short of the boundary. Without a minimum length they would approach the boundary but never cross it."""


class DeepFool(NearestTwin):
    """Step to the nearest boundary of the linearised model until the image is misclassified: a small distance
    in few steps.

    epsilon: maximum distance in [0, 1] pixel units. Default: none; then every sample with an adversarial
        example counts as broken, and ``mean_l2`` or ``mean_linf`` is the mean distance.
    norm: ``l2`` or ``linf``.
    epsilons: radii for ``robust_accuracy[RADIUS]``; they cost nothing.
    steps: maximum number of steps.
    overshoot: distance beyond the boundary, as a share of the path.
    classes: number of other classes, most likely first.

    nearest: distance of the adversarial example, or None. num_queries: forward passes, each with one backward
        pass per class.

    Reference: S.-M. Moosavi-Dezfooli, A. Fawzi, P. Frossard. DeepFool: a Simple and Accurate Method to Fool
    Deep Neural Networks. CVPR 2016.
    """

    def __init__(
        self, *, epsilon: float | None = None, norm: str = "l2", steps: Count = 50, overshoot: Amount = 0.02, classes: Count = 9,
        epsilons: Sequence[float] = (),
    ) -> None:  # fmt: skip
        if steps < 1 or classes < 1 or not overshoot >= 0:
            raise ConfigError(f"deepfool needs at least one step and class, and no negative overshoot: {steps}, {classes}, {overshoot}")
        super().__init__(epsilon, norm, epsilons)
        self.steps, self.overshoot, self.classes = steps, overshoot, classes

    def search(self, victims: Victims, /) -> None:
        import torch

        rows_N, current, way = victims.rows_B, victims.clean, torch.zeros_like(victims.clean)
        reach = 1 + self.overshoot
        lowest, highest = -victims.clean / reach, (1 - victims.clean) / reach
        others_BM = find_likeliest_others(victims.ask(current, rows_N), victims.target_B, self.classes)
        if not others_BM.shape[1]:
            return  # a model with one class has no boundary
        classes_BM = torch.cat([victims.target_B[:, None], others_BM], 1)
        for _ in range(self.steps):
            logits_NK, gradients = victims.climb_classes(current, rows_N, classes_BM[rows_N])
            right_N = logits_NK.argmax(1) == victims.target_B[rows_N]
            victims.nearer(rows_N, current, ~right_N)
            rows_N = rows_N[right_N]
            if not len(rows_N):
                return
            scores_NM = logits_NK[right_N].gather(1, classes_BM[rows_N])
            way, low, high = way[right_N], lowest[rows_N], highest[rows_N]
            least_N = _LEAST * measure_length(way, victims.threat.norm)
            way = (way + _step(scores_NM, gradients[right_N], victims.threat.norm, least_N)).clamp(low, high)
            current = (victims.clean[rows_N] + reach * way).clamp(0, 1)
        victims.nearer(rows_N, current, victims.wrong(current, rows_N))


def _step(scores_NM: torch.Tensor, gradients: torch.Tensor, norm: str, least_N: torch.Tensor) -> torch.Tensor:
    """Return the shortest step to the nearest linearised boundary, [N, C, H, W].

    scores_NM: logits of the true class, first, and of other classes.
    gradients: gradients of these logits [N, M, C, H, W].
    norm: ``linf`` or ``l2``.
    least_N: minimum length of each step.
    """
    import torch

    gap_NM = scores_NM[:, :1] - scores_NM[:, 1:]
    slopes = gradients[:, 1:] - gradients[:, :1]
    speed_NM = measure_dual_length(slopes.flatten(0, 1), norm).view_as(gap_NM)
    # The boundary of a class with a zero gradient is infinitely far away.
    distance_N, nearest_N = (gap_NM / speed_NM.clamp_min(1e-30)).min(1)
    way = find_direction(slopes[torch.arange(len(slopes), device=slopes.device), nearest_N], norm)
    return spread_over_pixels(torch.maximum(distance_N, least_N)) * way
