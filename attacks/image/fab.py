"""FAB: the fast adaptive boundary attack, targeted (Croce & Hein 2020, arXiv:1907.02044)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...harness.api.errors import ConfigError
from ...harness.api.settings import Count
from .base import NearestTwin
from .losses import compute_lead, find_likeliest_others
from .lp_geometry import draw_steps_to_surface, measure_length, project_on_hyperplane, spread_over_pixels
from .victims import Victims

if TYPE_CHECKING:
    import torch

_LARGEST_BIAS, _OVERSHOOT, _BACK = 0.1, 1.05, 0.9
"""alpha_max, eta and beta in the paper."""


class FABTargeted(NearestTwin):
    """Find the nearest misclassified image by projections onto linearised boundaries with other classes, most
    likely first.

    epsilon: maximum distance in [0, 1] pixel units. Default: none; then every sample with an adversarial
        example counts as broken, and ``mean_l2`` or ``mean_linf`` is the mean distance.
    norm: ``linf`` or ``l2``.
    epsilons: radii for ``robust_accuracy[RADIUS]``; they cost nothing.
    steps: projections per class.
    restarts: starts per class: the first from the clean image, others from random points at half the distance
        of the nearest example so far.
    targets: maximum number of other classes to try.

    nearest: distance of the nearest adversarial example, or None. num_queries: two per step, plus one that
        ranks the classes.

    Reference: F. Croce, M. Hein. Minimally distorted Adversarial Examples with a Fast Adaptive Boundary
    Attack. ICML 2020.
    """

    def __init__(
        self, *, epsilon: float | None = None, norm: str = "linf", steps: Count = 100, restarts: Count = 1, targets: Count = 9,
        epsilons: Sequence[float] = (),
    ) -> None:  # fmt: skip
        if steps < 1 or restarts < 1 or targets < 1:
            raise ConfigError(f"fab_t needs at least one step, restart and target, not {steps}, {restarts} and {targets}")
        super().__init__(epsilon, norm, epsilons)
        self.steps, self.restarts, self.targets = steps, restarts, targets

    def search(self, victims: Victims, /) -> None:
        logits_BK = victims.ask(victims.clean, victims.rows_B)
        victims.nearer(victims.rows_B, victims.clean, logits_BK.argmax(1) != victims.target_B)
        for wanted_B in find_likeliest_others(logits_BK, victims.target_B, self.targets).T:
            for restart in range(self.restarts):
                self._approach(victims, wanted_B, self._start(victims, restart))

    def _start(self, victims: Victims, restart: int) -> torch.Tensor:
        """Return the start points [B, C, H, W]: the clean images first, then random points."""
        if restart == 0:
            return victims.clean
        norm, reach_B = victims.threat.norm, victims.fact("nearest").nan_to_num(victims.threat.epsilon or 0.0).to(victims.clean.dtype)
        steps = draw_steps_to_surface(victims.noises, victims.clean, norm, 1.0)
        return (victims.clean + spread_over_pixels(reach_B / 2) * steps).clamp(0, 1)

    def _approach(self, victims: Victims, wanted_B: torch.Tensor, current: torch.Tensor) -> None:
        """Approach the boundary with the target class from the current points, and store misclassified points."""
        import torch

        norm, clean, rows_B = victims.threat.norm, victims.clean, victims.rows_B
        for _ in range(self.steps):
            slope = victims.climb(current, rows_B, compute_lead, wanted_B)
            # The linearised boundary is lead + gradient @ (z - current) = 0; take its gap from the current and the
            # clean point.
            gap_B, gap_from_clean_B = -slope.loss, -slope.loss + (slope.gradient * (current - clean)).flatten(1).sum(1)
            both, gaps = torch.cat([current, clean]), torch.cat([gap_B, gap_from_clean_B])
            step, step_from_clean = project_on_hyperplane(both, slope.gradient.repeat(2, 1, 1, 1), gaps, norm).chunk(2)
            own_B, clean_B = (measure_length(s, norm).clamp_min(1e-8) for s in (step, step_from_clean))
            bias = spread_over_pixels((own_B / (own_B + clean_B)).clamp(max=_LARGEST_BIAS))
            current = ((current + _OVERSHOOT * step) * (1 - bias) + (clean + _OVERSHOOT * step_from_clean) * bias).clamp(0, 1)
            wrong_B = victims.wrong(current, rows_B)
            victims.nearer(rows_B, current, wrong_B)
            current = torch.where(spread_over_pixels(wrong_B), clean + _BACK * (current - clean), current)
