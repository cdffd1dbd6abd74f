"""Auto-PGD: projected gradient ascent that chooses its own step size (Croce & Hein 2020, arXiv:2003.01690)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...harness.api.errors import ConfigError
from ...harness.api.settings import Count
from .ascent import Goal, climb
from .base import ImageAttack
from .losses import cross_entropy, dlr, dlr_targeted, likeliest_others
from .victims import Victims


class APGD(ImageAttack):
    """Base of the three attacks: each names its goals, which are climbed one after the other on the samples still standing."""

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
        """Yield what to climb."""
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
            raise ConfigError(f"targets is at least 1, not {targets}")
        super().__init__(epsilon=epsilon, norm=norm, steps=steps, restarts=restarts, epsilons=epsilons)
        self.targets = targets

    def goals(self, victims: Victims, /) -> Iterator[Goal]:
        logits_BK = victims.ask(victims.clean, victims.rows_B)
        for wanted_B in likeliest_others(logits_BK, victims.target_B, self.targets).T:
            yield Goal(dlr_targeted, wanted_B)
