"""Auto-PGD: projected gradient ascent that chooses its own step size (Croce & Hein 2020, arXiv:2003.01690)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

from ...harness.api.errors import ConfigError
from ...harness.api.settings import Count
from ...harness.threats import LpBall
from .base import ImageAttack
from .losses import cross_entropy, dlr, dlr_targeted, likeliest_others
from .lp_geometry import direction, per_row, project, random_steps_to_surface
from .victims import Slope, Victims

if TYPE_CHECKING:
    import torch

    from .victims import Loss

_MOMENTUM = 0.75
_ENOUGH_RISES = 0.75
"""Of the steps since the last checkpoint, so many must have raised the loss, or the step is halved (the paper's rho)."""


class Goal(NamedTuple):
    """What is climbed. ``wanted_B``: the class that each image is to become, where the loss has one."""

    loss: Loss
    wanted_B: torch.Tensor | None = None


class APGD(ImageAttack):
    """Base of the three: ascent with momentum, whose step is halved where it no longer pays, and which then goes back to the best point.

    A member says what is climbed; one goal after the other, on the samples still standing.
    """

    def __init__(self, epsilon: float, norm: str, steps: int, restarts: int, epsilons: Sequence[float]) -> None:
        if steps < 1 or restarts < 1:
            raise ConfigError(f"APGD needs at least one step and one restart, not {steps} and {restarts}")
        super().__init__(epsilon, norm, epsilons)
        self.steps, self.restarts = steps, restarts

    def goals(self, victims: Victims, /) -> Iterator[Goal]:
        raise NotImplementedError

    def search(self, victims: Victims, /) -> None:
        for goal in self.goals(victims):
            for _ in range(self.restarts):
                rows_N = victims.standing()
                if not len(rows_N):
                    return
                climb(victims, rows_N, goal, self.steps)


class APGDCE(APGD):
    """Auto-PGD on the cross-entropy: the step size is found by the attack itself, and momentum carries it over small rises.

    epsilon: radius in [0, 1] pixel units (8/255 = 0.0314). norm: ``linf`` or ``l2``. steps: of each restart. restarts: from another random
    point of the ball's surface, on the samples still standing. epsilons: further radii below epsilon, tried one after the other on the
    samples still standing, for ``robust_accuracy[RADIUS]``.

    A twin is the first misclassified iterate, or the one of largest loss where there is none. num_queries: forward passes of the sample.
    best_loss: the largest cross-entropy seen. zero_gradient: the loss was flat at every iterate.
    Reference: F. Croce, M. Hein. Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks.
    ICML 2020.
    """

    def __init__(
        self, *, epsilon: float = 8 / 255, norm: str = "linf", steps: Count = 100, restarts: Count = 1, epsilons: Sequence[float] = ()
    ) -> None:
        super().__init__(epsilon, norm, steps, restarts, epsilons)

    def goals(self, victims: Victims, /) -> Iterator[Goal]:
        yield Goal(cross_entropy)


class APGDDLR(APGD):
    """Auto-PGD on the difference of logits ratio, which no rescaling of the logits can flatten.

    epsilon, norm, steps, restarts, epsilons: as for ``apgd_ce``. Of two classes the ratio would be constant: there the difference of the
    two logits is climbed, which has the same directions.

    A twin is the first misclassified iterate, or the one of largest loss where there is none. best_loss: the largest ratio seen.
    num_queries, zero_gradient: as for ``apgd_ce``.
    Reference: F. Croce, M. Hein. Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks.
    ICML 2020.
    """

    def __init__(
        self, *, epsilon: float = 8 / 255, norm: str = "linf", steps: Count = 100, restarts: Count = 1, epsilons: Sequence[float] = ()
    ) -> None:
        super().__init__(epsilon, norm, steps, restarts, epsilons)

    def goals(self, victims: Victims, /) -> Iterator[Goal]:
        yield Goal(dlr)


class APGDTargeted(APGD):
    """Auto-PGD on the targeted difference of logits ratio, towards one other class after the other, the likeliest first.

    epsilon, norm, steps, epsilons: as for ``apgd_ce``. targets: how many other classes are tried, at most all of them (one of two classes).
    restarts: of each. Any misclassification ends the search of a sample, whichever class it goes to. The ratio is over the largest logit's
    lead on the third and fourth; of three classes, on the third alone; of two, the difference itself is climbed.

    num_queries, zero_gradient: as for ``apgd_ce``; one more query ranks the classes. best_loss: the largest ratio seen.
    Reference: F. Croce, M. Hein. Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks.
    ICML 2020.
    """

    def __init__(
        self, *, epsilon: float = 8 / 255, norm: str = "linf", steps: Count = 100, restarts: Count = 1, targets: Count = 9,
        epsilons: Sequence[float] = (),
    ) -> None:  # fmt: skip
        if targets < 1:
            raise ConfigError(f"targets is at least 1, not {targets}")
        super().__init__(epsilon, norm, steps, restarts, epsilons)
        self.targets = targets

    def goals(self, victims: Victims, /) -> Iterator[Goal]:
        logits_BK = victims.ask(victims.clean, victims.rows_B)
        for wanted_B in likeliest_others(logits_BK, victims.target_B, self.targets).T:
            yield Goal(dlr_targeted, wanted_B)


# ── the ascent ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _State:
    """Of each row that still stands, N of them. ``rises``: how often the loss rose since the last checkpoint."""

    rows: torch.Tensor
    current: torch.Tensor
    previous: torch.Tensor
    gradient: torch.Tensor
    loss: torch.Tensor
    best: torch.Tensor
    best_gradient: torch.Tensor
    best_loss: torch.Tensor
    size: torch.Tensor
    rises: torch.Tensor
    loss_at_check: torch.Tensor
    was_halved: torch.Tensor

    def only(self, mask_N: torch.Tensor) -> None:
        for name in (f.name for f in fields(self)):
            setattr(self, name, getattr(self, name)[mask_N])

    def note(self, slope: Slope) -> None:
        import torch

        self.rises += slope.loss > self.loss
        better_N = slope.loss > self.best_loss
        self.gradient, self.loss = slope.gradient, slope.loss
        self.best = torch.where(per_row(better_N), self.current, self.best)
        self.best_gradient = torch.where(per_row(better_N), slope.gradient, self.best_gradient)
        self.best_loss = torch.where(better_N, slope.loss, self.best_loss)

    def check(self, num_steps: int) -> None:
        """At a checkpoint: halve the step where it did not pay, and go back to the best point."""
        import torch

        is_stuck_N = (self.rises <= _ENOUGH_RISES * num_steps) | (~self.was_halved & (self.loss_at_check >= self.best_loss))
        self.size = torch.where(is_stuck_N, self.size / 2, self.size)
        self.current = torch.where(per_row(is_stuck_N), self.best, self.current)
        self.gradient = torch.where(per_row(is_stuck_N), self.best_gradient, self.gradient)
        self.loss = torch.where(is_stuck_N, self.best_loss, self.loss)
        self.rises = torch.zeros_like(self.rises)
        self.loss_at_check, self.was_halved = self.best_loss.clone(), is_stuck_N


def climb(victims: Victims, rows_N: torch.Tensor, goal: Goal, steps: int, /) -> None:
    """Algorithm 1 from one random start. Rows that fall drop out; what has the largest loss is the twin of the others."""
    clean, threat = victims.clean[rows_N], victims.threat
    start = random_steps_to_surface(victims.noises_of(rows_N), clean, threat.norm, victims.radius)
    state = _started(victims, rows_N, project(clean + start, clean, threat), goal)
    interval, since_check = max(int(0.22 * steps), 1), 0
    for step in range(steps):
        if not len(state.rows):
            return
        _move(state, victims.clean[state.rows], threat, first=step == 0)
        slope = victims.climb(state.current, state.rows, *goal)
        state.note(slope)
        _settle(victims, state, slope.wrong)
        since_check += 1
        if since_check == interval:
            state.check(interval)
            interval, since_check = max(interval - max(int(0.03 * steps), 1), max(int(0.06 * steps), 1)), 0


def _started(victims: Victims, rows_N: torch.Tensor, start: torch.Tensor, goal: Goal) -> _State:
    import torch

    slope = victims.climb(start, rows_N, *goal)
    none_N = torch.zeros_like(rows_N)
    state = _State(
        rows=rows_N, current=start, previous=start, gradient=slope.gradient, loss=slope.loss, best=start, best_gradient=slope.gradient,
        best_loss=slope.loss, size=torch.full_like(slope.loss, 2 * victims.radius), rises=none_N, loss_at_check=slope.loss,
        # No step was taken yet that could have failed to raise the best loss.
        was_halved=none_N == 0,
    )  # fmt: skip
    _settle(victims, state, slope.wrong)
    return state


def _move(state: _State, clean: torch.Tensor, threat: LpBall, *, first: bool) -> None:
    moved = project(state.current + per_row(state.size) * direction(state.gradient, threat.norm), clean, threat)
    if not first:
        pushed = _MOMENTUM * (moved - state.current) + (1 - _MOMENTUM) * (state.current - state.previous)
        moved = project(state.current + pushed, clean, threat)
    state.previous, state.current = state.current, moved


def _settle(victims: Victims, state: _State, wrong_N: torch.Tensor) -> None:
    """The rows that fell leave with this point; the twin of the others is their best one."""
    victims.offer(state.rows, state.best, state.best_loss)
    victims.keep(state.rows[wrong_N], state.current[wrong_N], wrong_N[wrong_N])
    if bool(wrong_N.any()):
        state.only(~wrong_N)
