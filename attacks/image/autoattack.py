"""AutoAttack: an ensemble of four attacks that need no tuning (Croce & Hein 2020, arXiv:2003.01690)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ...harness.api.errors import ConfigError, suggest_name
from ...harness.api.settings import Count
from ...harness.threats import LpBall
from .apgd import APGDCE, APGDDLR, APGDTargeted
from .base import ImageAttack, Try
from .fab import FABTargeted
from .square import Square

MEMBERS: Mapping[str, Callable[..., ImageAttack]] = {
    "apgd_ce": APGDCE, "apgd_dlr": APGDDLR, "apgd_t": APGDTargeted, "fab_t": FABTargeted,
    # The authors' ensemble uses the schedule of twice as many queries.
    "square": partial(Square, schedule=10_000),
}  # fmt: skip
STANDARD = ("apgd_ce", "apgd_t", "fab_t", "square")


class AutoAttack(ImageAttack):
    """Run several attacks in turn, each on the samples that are still correct; by default the standard four
    with their published settings.

    epsilon: radius in [0, 1] pixel units (8/255 = 0.0314).
    norm: ``linf`` or ``l2``.
    members: attacks to run, in order: ``apgd_ce``, ``apgd_dlr``, ``apgd_t``, ``fab_t``, ``square``.
    steps: steps of the gradient attacks.
    queries: queries of ``square``.
    restarts: restarts of each member.
    targets: maximum number of other classes for the targeted members.
    epsilons: further radii below epsilon for ``robust_accuracy[RADIUS]``, tried one after the other on the
        samples that are still correct.

    broken_by: the member that broke the sample, or None. num_queries: the sum over members, plus one query
        after each to check success. zero_gradient: every gradient of every member was 0.

    Reference: F. Croce, M. Hein. Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
    Parameter-free Attacks. ICML 2020.
    """

    def __init__(
        self, *, epsilon: float = 8 / 255, norm: str = "linf", members: Sequence[str] = STANDARD, steps: Count = 100, queries: Count = 5000,
        restarts: Count = 1, targets: Count = 9, epsilons: Sequence[float] = (),
    ) -> None:  # fmt: skip
        super().__init__(epsilon, norm, epsilons)
        if not members:
            raise ConfigError(f"members must name at least one of {', '.join(MEMBERS)}")
        values = {"steps": steps, "queries": queries, "restarts": restarts, "targets": targets}
        takes = {"square": ("queries", "restarts"), "apgd_t": ("steps", "restarts", "targets"), "fab_t": ("steps", "restarts", "targets")}
        self.members: dict[str, ImageAttack] = {}
        for name in members:
            if name not in MEMBERS:
                raise ConfigError(f"there is no member {name!r}.{suggest_name(name, MEMBERS)} Members: {', '.join(MEMBERS)}")
            settings = {key: values[key] for key in takes.get(name, ("steps", "restarts"))}
            self.members[name] = MEMBERS[name](epsilon=epsilon, norm=norm, **settings)

    def tries(self, threat: LpBall, /) -> list[Try]:
        return [Try(name, member, rung.threat) for rung in super().tries(threat) for name, member in self.members.items()]
