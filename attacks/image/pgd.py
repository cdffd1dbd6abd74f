"""Projected gradient descent under an L-infinity or L2 ball (Madry et al. 2018, arXiv:1706.06083)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...harness.api.errors import ConfigError
from ...harness.api.settings import Count, Size
from .base import ImageAttack
from .losses import cross_entropy
from .lp_geometry import draw_steps, find_direction, project
from .victims import Victims

if TYPE_CHECKING:
    import torch


class PGD(ImageAttack):
    """Projected gradient ascent on the cross-entropy from a random start in the ball, batched over samples.

    epsilon: radius in [0, 1] pixel units (8/255 = 0.0314).
    norm: ``linf`` or ``l2``.
    steps: gradient steps per restart.
    step_size: length of a step, below 1 for ``linf``. Default: 2.5 * epsilon / steps, which can reach any
        point of the ball.
    restarts: number of restarts, on the samples that are still correct.
    random_start: whether to start at a random point of the ball, drawn by the sample's id, instead of the
        clean image.
    epsilons: further radii below epsilon for ``robust_accuracy[RADIUS]``, tried one after the other on the
        samples that are still correct.

    The adversarial example is the first misclassified iterate, or the last one. A sample leaves the batch
    once it is misclassified. num_queries counts the sample's forward passes. zero_gradient: the gradient was
    0 at every iterate, so the attack had no signal.

    Reference: A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu. Towards Deep Learning Models Resistant
    to Adversarial Attacks. ICLR 2018.
    """

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        norm: str = "linf",
        steps: Count = 20,
        step_size: Size | None = None,
        restarts: Count = 1,
        random_start: bool = True,
        epsilons: Sequence[float] = (),
    ) -> None:
        if steps < 1 or restarts < 1:
            raise ConfigError(f"pgd needs at least one step and one restart, not {steps} and {restarts}")
        if step_size is not None and not step_size > 0:
            raise ConfigError(f"step_size must be above 0, or omitted for 2.5 * epsilon / steps, not {step_size}")
        if step_size is not None and norm == "linf" and step_size >= 1:
            raise ConfigError(
                f"step_size must be below 1, not {step_size!r}: pixels are in [0, 1]; did you mean {step_size:g}/255? "
                f"Write {step_size / 255:.4g}"
            )
        super().__init__(epsilon, norm, epsilons)
        self.steps, self.step_size, self.restarts, self.random_start = steps, step_size, restarts, random_start

    def search(self, victims: Victims, /) -> None:
        for _ in range(self.restarts):
            rows_N = victims.standing()
            if not len(rows_N):
                return
            self._climb(victims, rows_N, self._start(victims, rows_N))

    def _start(self, victims: Victims, rows_N: torch.Tensor) -> torch.Tensor:
        """Return the start points [N, C, H, W]."""
        clean, threat = victims.clean[rows_N], victims.threat
        if not self.random_start:
            return clean
        return project(clean + draw_steps(victims.noises_of(rows_N), clean, threat.norm, victims.radius), clean, threat)

    def _climb(self, victims: Victims, rows_N: torch.Tensor, current: torch.Tensor) -> None:
        """Take gradient steps from the current points, and store the first misclassified or the last point."""
        size = self.step_size if self.step_size is not None else 2.5 * victims.radius / self.steps
        for _ in range(self.steps):
            slope = victims.climb(current, rows_N, cross_entropy)
            victims.keep(rows_N, current, slope.wrong)
            right_N = ~slope.wrong
            rows_N, current = rows_N[right_N], current[right_N]
            if not len(rows_N):
                return
            moved = current + size * find_direction(slope.gradient[right_N], victims.threat.norm)
            current = project(moved, victims.clean[rows_N], victims.threat)
        victims.keep(rows_N, current, victims.wrong(current, rows_N))
