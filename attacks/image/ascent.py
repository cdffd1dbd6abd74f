"""The ascent of Auto-PGD (Croce & Hein 2020, arXiv:2003.01690, algorithm 1): gradient steps with momentum and
adaptive size."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

from ...harness.threats import LpBall
from .lp_geometry import direction, per_row, project, random_steps_to_surface
from .victims import Victims

if TYPE_CHECKING:
    import torch

    from .victims import Loss

_MOMENTUM = 0.75
_ENOUGH_RISES = 0.75
"""Share of the steps since the last checkpoint that must have raised the loss; below it the step is halved (the paper's rho)."""


class Goal(NamedTuple):
    """A loss to maximise. ``wanted_B``: target class of each image, if the loss has one."""

    loss: Loss
    wanted_B: torch.Tensor | None = None


def climb(victims: Victims, rows_N: torch.Tensor, goal: Goal, num_steps: int, /) -> None:
    """Maximise the goal from one random start. Misclassified rows leave; the adversarial example of the
    others is the point with the largest loss."""
    clean, threat = victims.clean[rows_N], victims.threat
    noise = random_steps_to_surface(victims.noises_of(rows_N), clean, threat.norm, victims.radius)
    state = _begin(victims, rows_N, project(clean + noise, clean, threat), goal)
    interval, since_check = max(int(0.22 * num_steps), 1), 0
    for step in range(num_steps):
        if not len(state.rows):
            return
        pixels = _next_pixels(state, victims.clean[state.rows], threat, first=step == 0)
        slope = victims.climb(pixels, state.rows, *goal)
        state.move(_Points(pixels, slope.loss, slope.gradient))
        _settle(victims, state, slope.wrong)
        since_check += 1
        if since_check == interval:
            state.check(interval)
            interval, since_check = max(interval - max(int(0.03 * num_steps), 1), max(int(0.06 * num_steps), 1)), 0


@dataclass(slots=True)
class _Points:
    """A point for each of N rows: ``pixels`` [N, C, H, W], the ``loss`` there [N], and its ``gradient`` [N, C, H, W]."""

    pixels: torch.Tensor
    loss: torch.Tensor
    gradient: torch.Tensor

    def __getitem__(self, mask_N: torch.Tensor) -> _Points:
        return _Points(self.pixels[mask_N], self.loss[mask_N], self.gradient[mask_N])

    def replace_where(self, mask_N: torch.Tensor, others: _Points) -> _Points:
        """Take the points of ``others`` in the rows of the mask."""
        import torch

        mask = per_row(mask_N)
        return _Points(
            torch.where(mask, others.pixels, self.pixels),
            torch.where(mask_N, others.loss, self.loss),
            torch.where(mask, others.gradient, self.gradient),
        )


@dataclass(slots=True)
class _State:
    """The N remaining rows.

    previous: [N, C, H, W], the pixels before the last step.
    rises: how often the loss rose since the last checkpoint.
    """

    rows: torch.Tensor
    current: _Points
    best: _Points
    previous: torch.Tensor
    size: torch.Tensor
    rises: torch.Tensor
    loss_at_check: torch.Tensor
    was_halved: torch.Tensor

    def only(self, mask_N: torch.Tensor) -> None:
        """Keep the rows of the mask."""
        for name in (f.name for f in fields(self)):
            setattr(self, name, getattr(self, name)[mask_N])

    def move(self, points: _Points) -> None:
        """Step to these points, and remember those that are better than all before."""
        self.rises += points.loss > self.current.loss
        self.previous, self.current = self.current.pixels, points
        self.best = self.best.replace_where(points.loss > self.best.loss, points)

    def check(self, num_steps: int) -> None:
        """At a checkpoint, halve the step where progress was too small, and return to the best point."""
        import torch

        did_not_rise_N = self.rises <= _ENOUGH_RISES * num_steps
        is_stuck_N = did_not_rise_N | (~self.was_halved & (self.loss_at_check >= self.best.loss))
        self.size = torch.where(is_stuck_N, self.size / 2, self.size)
        self.current = self.current.replace_where(is_stuck_N, self.best)
        self.rises = torch.zeros_like(self.rises)
        self.loss_at_check, self.was_halved = self.best.loss, is_stuck_N


def _begin(victims: Victims, rows_N: torch.Tensor, pixels: torch.Tensor, goal: Goal) -> _State:
    import torch

    slope = victims.climb(pixels, rows_N, *goal)
    start = _Points(pixels, slope.loss, slope.gradient)
    state = _State(
        rows=rows_N,
        current=start,
        best=start,
        previous=pixels,
        size=torch.full_like(slope.loss, 2 * victims.radius),
        rises=torch.zeros_like(rows_N),
        loss_at_check=slope.loss,
        # No step has been taken yet, so none failed to raise the best loss.
        was_halved=torch.ones_like(rows_N, dtype=torch.bool),
    )
    _settle(victims, state, slope.wrong)
    return state


def _next_pixels(state: _State, clean: torch.Tensor, threat: LpBall, *, first: bool) -> torch.Tensor:
    now = state.current
    moved = project(now.pixels + per_row(state.size) * direction(now.gradient, threat.norm), clean, threat)
    if first:
        return moved
    pushed = _MOMENTUM * (moved - now.pixels) + (1 - _MOMENTUM) * (now.pixels - state.previous)
    return project(now.pixels + pushed, clean, threat)


def _settle(victims: Victims, state: _State, wrong_N: torch.Tensor) -> None:
    """Remove misclassified rows with their current point; offer the best point of the others."""
    victims.offer(state.rows, state.best.pixels, state.best.loss)
    victims.keep(state.rows[wrong_N], state.current.pixels[wrong_N], wrong_N[wrong_N])
    if bool(wrong_N.any()):
        state.only(~wrong_N)
