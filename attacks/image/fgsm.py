"""The fast gradient sign method (Goodfellow et al. 2015, arXiv:1412.6572)."""

from __future__ import annotations

from collections.abc import Sequence

from .base import ImageAttack
from .losses import cross_entropy
from .lp_geometry import find_direction, project
from .victims import Victims


class FGSM(ImageAttack):
    """Take one step of length epsilon along the sign of the cross-entropy's gradient (``l2``: along the
    gradient).

    epsilon: radius in [0, 1] pixel units (8/255 = 0.0314).
    norm: ``linf`` or ``l2``.
    epsilons: further radii below epsilon for ``robust_accuracy[RADIUS]``, tried one after the other on the
        samples that are still correct.

    num_queries: 1, or 2 per radius if there are several. zero_gradient: the gradient was 0, so the attack had
        no signal.

    Reference: I. J. Goodfellow, J. Shlens, C. Szegedy. Explaining and Harnessing Adversarial Examples. ICLR
    2015.
    """

    def __init__(self, *, epsilon: float = 8 / 255, norm: str = "linf", epsilons: Sequence[float] = ()) -> None:
        super().__init__(epsilon, norm, epsilons)

    def search(self, victims: Victims, /) -> None:
        rows_B = victims.standing()
        slope = victims.climb(victims.clean, rows_B, cross_entropy)
        moved = victims.clean + victims.radius * find_direction(slope.gradient, victims.threat.norm)
        # Misclassified clean images stay unchanged.
        moved[slope.wrong] = victims.clean[slope.wrong]
        victims.keep(rows_B, project(moved, victims.clean, victims.threat), slope.wrong)
