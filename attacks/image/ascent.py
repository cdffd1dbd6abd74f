"""The ascent of Auto-PGD (Croce & Hein 2020, arXiv:2003.01690, algorithm 1).

It takes gradient steps with momentum and an adaptive step size.

Shape legend: B images, N remaining rows, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

from ...harness.threats import LpBall
from .lp_geometry import draw_steps_to_surface, find_direction, project, spread_over_pixels
from .victims import Victims

if TYPE_CHECKING:
    import torch

    from .victims import Loss

_MOMENTUM = 0.75
_ENOUGH_RISES = 0.75
"""Minimum share of the steps since the last checkpoint that raised the loss; below it the step size is halved (rho in
the paper)."""


class Goal(NamedTuple):
    """A loss to maximise.

    loss: maps logits [N, K], true classes [N] and target classes [N], if any, to a loss [N].
    wanted_B: target class of each image; None for an untargeted loss.
    """

    loss: Loss
    wanted_B: torch.Tensor | None = None


def climb(victims: Victims, rows_N: torch.Tensor, goal: Goal, num_steps: int, /) -> None:
    """Maximise the goal from one random start per row.

    A misclassified row is stored and leaves. The adversarial example of any other row is the point with the largest
    loss.

    victims: the batch; changed in place.
    rows_N: rows to attack.
    goal: the loss to maximise.
    num_steps: number of gradient steps.
    """
    clean, threat = victims.clean[rows_N], victims.threat
    noise = draw_steps_to_surface(victims.noises_of(rows_N), clean, threat.norm, victims.radius)
    state = _begin(victims, rows_N, project(clean + noise, clean, threat), goal)
    interval, since_check = max(int(0.22 * num_steps), 1), 0
    for step in range(num_steps):
        if not len(state.rows):
            return
        pixels = _step_pixels(state, victims.clean[state.rows], threat, first=step == 0)
        slope = victims.climb(pixels, state.rows, *goal)
        state.move(_Points(pixels, slope.loss, slope.gradient))
        _settle(victims, state, slope.wrong)
        since_check += 1
        if since_check == interval:
            state.check(interval)
            interval, since_check = max(interval - max(int(0.03 * num_steps), 1), max(int(0.06 * num_steps), 1)), 0


@dataclass(slots=True)
class _Points:
    """One point per row.

    pixels: [N, C, H, W].
    loss: loss at the points [N].
    gradient: gradient of the loss [N, C, H, W].
    """

    pixels: torch.Tensor
    loss: torch.Tensor
    gradient: torch.Tensor

    def __getitem__(self, mask_N: torch.Tensor) -> _Points:
        return _Points(self.pixels[mask_N], self.loss[mask_N], self.gradient[mask_N])

    def replace_where(self, mask_N: torch.Tensor, others: _Points) -> _Points:
        """Return the points with the rows of the mask [N] taken from ``others``."""
        import torch

        mask = spread_over_pixels(mask_N)
        return _Points(
            torch.where(mask, others.pixels, self.pixels),
            torch.where(mask_N, others.loss, self.loss),
            torch.where(mask, others.gradient, self.gradient),
        )


@dataclass(slots=True)
class _State:
    """State of the N remaining rows.

    rows: indices of the rows [N].
    current: current points.
    best: points with the largest loss so far.
    previous: pixels before the last step [N, C, H, W].
    size: step size [N].
    rises: number of steps since the last checkpoint that raised the loss [N].
    loss_at_check: largest loss at the last checkpoint [N].
    was_halved: whether the step size was halved at the last checkpoint [N].
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
        """Keep only the rows of the mask [N]."""
        for name in (f.name for f in fields(self)):
            setattr(self, name, getattr(self, name)[mask_N])

    def move(self, points: _Points) -> None:
        """Move to these points and update the best points."""
        self.rises += points.loss > self.current.loss
        self.previous, self.current = self.current.pixels, points
        self.best = self.best.replace_where(points.loss > self.best.loss, points)

    def check(self, num_steps: int) -> None:
        """Halve the step size of rows with too little progress and move them back to their best point.

        num_steps: number of steps since the last checkpoint.
        """
        import torch

        did_not_rise_N = self.rises <= _ENOUGH_RISES * num_steps
        is_stuck_N = did_not_rise_N | (~self.was_halved & (self.loss_at_check >= self.best.loss))
        self.size = torch.where(is_stuck_N, self.size / 2, self.size)
        self.current = self.current.replace_where(is_stuck_N, self.best)
        self.rises = torch.zeros_like(self.rises)
        self.loss_at_check, self.was_halved = self.best.loss, is_stuck_N


def _begin(victims: Victims, rows_N: torch.Tensor, pixels: torch.Tensor, goal: Goal) -> _State:
    """Evaluate the start points and return the state of the rows that are still correct."""
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
        # No step has been taken yet, so the first checkpoint must not test whether the best loss rose.
        was_halved=torch.ones_like(rows_N, dtype=torch.bool),
    )
    _settle(victims, state, slope.wrong)
    return state


def _step_pixels(state: _State, clean: torch.Tensor, threat: LpBall, *, first: bool) -> torch.Tensor:
    """Return the pixels after a projected gradient step with momentum; the first step has no momentum."""
    now = state.current
    moved = project(now.pixels + spread_over_pixels(state.size) * find_direction(now.gradient, threat.norm), clean, threat)
    if first:
        return moved
    pushed = _MOMENTUM * (moved - now.pixels) + (1 - _MOMENTUM) * (now.pixels - state.previous)
    return project(now.pixels + pushed, clean, threat)


def _settle(victims: Victims, state: _State, wrong_N: torch.Tensor) -> None:
    """Store the current point of misclassified rows and remove them; offer the best point of the others."""
    victims.offer(state.rows, state.best.pixels, state.best.loss)
    victims.keep(state.rows[wrong_N], state.current.pixels[wrong_N], wrong_N[wrong_N])
    if bool(wrong_N.any()):
        state.only(~wrong_N)
