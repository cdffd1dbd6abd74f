"""AutoAttack: an ensemble of four attacks that need no tuning (Croce & Hein 2020, arXiv:2003.01690)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ...harness.api.errors import ConfigError, did_you_mean
from ...harness.api.settings import Count
from ...harness.threats import LpBall
from .apgd import APGDCE, APGDDLR, APGDTargeted
from .base import ImageAttack, Try
from .fab import FABTargeted
from .square import Square

MEMBERS: Mapping[str, Callable[..., ImageAttack]] = {
    "apgd_ce": APGDCE, "apgd_dlr": APGDDLR, "apgd_t": APGDTargeted, "fab_t": FABTargeted,
    # The authors' own ensemble has the schedule of twice as many queries.
    "square": partial(Square, schedule=10_000),
}  # fmt: skip
STANDARD = ("apgd_ce", "apgd_t", "fab_t", "square")


class AutoAttack(ImageAttack):
    """The worst case of several attacks: each is tried on the samples that still stand. The standard four, with their published settings.

    epsilon: radius in [0, 1] pixel units (8/255 = 0.0314). norm: ``linf`` or ``l2``. members: of ``apgd_ce``, ``apgd_dlr``, ``apgd_t``,
    ``fab_t`` and ``square``, in the order they are tried. steps: of the gradient attacks. queries: of ``square``. restarts: of each member.
    targets: other classes that the targeted ones try, at most all of them, so that two to nine classes need no other ensemble.
    epsilons: further radii below epsilon, tried from the smallest on, for ``robust_accuracy[RADIUS]``.

    broken_by: the member that found the twin, None where none did. num_queries: of all members, and one after each that asks whether the
    twin is misclassified. zero_gradient: every gradient that any member saw was 0.
    Reference: F. Croce, M. Hein. Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks.
    ICML 2020.
    """

    def __init__(
        self, *, epsilon: float = 8 / 255, norm: str = "linf", members: Sequence[str] = STANDARD, steps: Count = 100, queries: Count = 5000,
        restarts: Count = 1, targets: Count = 9, epsilons: Sequence[float] = (),
    ) -> None:  # fmt: skip
        super().__init__(epsilon, norm, epsilons)
        if not members:
            raise ConfigError(f"members is at least one of {', '.join(MEMBERS)}")
        given = {"steps": steps, "queries": queries, "restarts": restarts, "targets": targets}
        takes = {"square": ("queries", "restarts"), "apgd_t": ("steps", "restarts", "targets"), "fab_t": ("steps", "restarts", "targets")}
        self.members: dict[str, ImageAttack] = {}
        for name in members:
            if name not in MEMBERS:
                raise ConfigError(f"no member {name!r}.{did_you_mean(name, MEMBERS)} The members: {', '.join(MEMBERS)}")
            settings = {key: given[key] for key in takes.get(name, ("steps", "restarts"))}
            self.members[name] = MEMBERS[name](epsilon=epsilon, norm=norm, **settings)

    def tries(self, threat: LpBall, /) -> list[Try]:
        return [Try(name, member, rung.threat) for rung in super().tries(threat) for name, member in self.members.items()]
