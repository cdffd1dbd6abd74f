"""Auto-PGD: projected gradient ascent with an adaptive step size (Croce & Hein 2020, arXiv:2003.01690)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...harness.api.errors import ConfigError
from ...harness.api.settings import Count
from .ascent import Goal, climb
from .base import ImageAttack
from .losses import compute_dlr, compute_targeted_dlr, cross_entropy, find_likeliest_others
from .victims import Victims


class APGD(ImageAttack):
    """Base class of the three Auto-PGD attacks. A subclass defines `goals`.

    The goals are maximised in turn, each on the samples that are still correct.

    epsilon: radius in [0, 1] pixel units.
    norm: ``linf`` or ``l2``.
    steps: gradient steps per restart.
    restarts: number of random starts per goal.
    epsilons: further radii below epsilon.
    Raises `ConfigError` if ``steps`` or ``restarts`` is below 1, or a radius is invalid.
    """

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        norm: str = "linf",
        steps: Count = 100,
        restarts: Count = 1,
        epsilons: Sequence[float] = (),
    ) -> None:
        if steps < 1 or restarts < 1:
            raise ConfigError(f"APGD needs at least one step and one restart, not {steps} and {restarts}")
        super().__init__(epsilon, norm, epsilons)
        self.steps, self.restarts = steps, restarts

    def goals(self, victims: Victims, /) -> Iterator[Goal]:
        """Yield the losses to maximise."""
        raise NotImplementedError

    def search(self, victims: Victims, /) -> None:
        for goal in self.goals(victims):
            for _ in range(self.restarts):
                rows_N = victims.standing()
                if not len(rows_N):
                    return
                climb(victims, rows_N, goal, self.steps)


class APGDCE(APGD):
    """Auto-PGD on the cross-entropy, with an adaptive step size and momentum.

    epsilon: radius in [0, 1] pixel units (8/255 = 0.0314).
    norm: ``linf`` or ``l2``.
    steps: gradient steps per restart.
    restarts: starts from random points of the ball's surface, on the samples that are still correct.
    epsilons: further radii below epsilon for ``robust_accuracy[RADIUS]``, tried one after the other on the
        samples that are still correct.

    The adversarial example is the first misclassified iterate, or the one with the largest loss. num_queries
    counts the sample's forward passes. best_loss: the largest cross-entropy. zero_gradient: the gradient was
    0 at every iterate.

    Reference: F. Croce, M. Hein. Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
    Parameter-free Attacks. ICML 2020.
    """

    def goals(self, victims: Victims, /) -> Iterator[Goal]:
        yield Goal(cross_entropy)


class APGDDLR(APGD):
    """Auto-PGD on the difference of logits ratio, which is invariant to a rescaling of the logits.

    epsilon, norm, steps, restarts, epsilons: see ``apgd_ce``.

    For two classes the ratio would be constant; the difference of the two logits is used, which has the same
    directions. The adversarial example is the first misclassified iterate, or the one with the largest loss.
    best_loss: the largest ratio. num_queries, zero_gradient: see ``apgd_ce``.

    Reference: F. Croce, M. Hein. Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
    Parameter-free Attacks. ICML 2020.
    """

    def goals(self, victims: Victims, /) -> Iterator[Goal]:
        yield Goal(compute_dlr)


class APGDTargeted(APGD):
    """Auto-PGD on the targeted difference of logits ratio, towards one other class after the other, most
    likely first.

    epsilon, norm, steps, epsilons: see ``apgd_ce``.
    targets: maximum number of other classes to try.
    restarts: starts per class.

    Any misclassification ends the search of a sample. The ratio divides by the lead of the largest logit over
    the third and fourth; with three classes, over the third alone; with two, the difference itself is used.
    num_queries, zero_gradient: see ``apgd_ce``; one more query ranks the classes. best_loss: the largest
    ratio.

    Reference: F. Croce, M. Hein. Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
    Parameter-free Attacks. ICML 2020.
    """

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        norm: str = "linf",
        steps: Count = 100,
        restarts: Count = 1,
        targets: Count = 9,
        epsilons: Sequence[float] = (),
    ) -> None:
        if targets < 1:
            raise ConfigError(f"targets must be at least 1, not {targets}")
        super().__init__(epsilon=epsilon, norm=norm, steps=steps, restarts=restarts, epsilons=epsilons)
        self.targets = targets

    def goals(self, victims: Victims, /) -> Iterator[Goal]:
        logits_BK = victims.ask(victims.clean, victims.rows_B)
        for wanted_B in find_likeliest_others(logits_BK, victims.target_B, self.targets).T:
            yield Goal(compute_targeted_dlr, wanted_B)
