"""A rate as a judge that errs sees it, and the true rate behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from .scorecard import Estimate
from .stats import CONFIDENCE


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge against people, in counts: of ``num_yes`` answers that a person said yes to, the judge did so to ``hits``; of ``num_no``, it
    rightly said no to ``rejections``."""

    hits: int
    num_yes: int
    rejections: int
    num_no: int

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(
            self.hits + other.hits, self.num_yes + other.num_yes, self.rejections + other.rejections, self.num_no + other.num_no
        )


def rogan_gladen(num_yes: int, n: int, calibration: Calibration, confidence: float = CONFIDENCE) -> Estimate:
    """The true rate behind ``num_yes`` of ``n`` that a judge said yes to (Rogan & Gladen 1978).

    With q the rate that the judge sees, Se its sensitivity and Sp its specificity, q = p Se + (1 - p) (1 - Sp), hence

        p = (q + Sp - 1) / (Se + Sp - 1),  held in [0, 1]

    The interval is Lang & Reiczigel's (2014), which counts the error of Se and Sp in. With z the normal quantile, q' = (num_yes + z²/2) /
    (n + z²), Se' = (hits + 1) / (num_yes + 2), Sp' likewise, and p' the formula above of these:

        p' + d ± z sqrt(q'(1 - q') / (n + z²) + p'² Se'(1 - Se') / (num_yes + 2) + (1 - p')² Sp'(1 - Sp') / (num_no + 2)) / (Se' + Sp' - 1)
        d = 2 z² (p' Se'(1 - Se') / (num_yes + 2) - (1 - p') Sp'(1 - Sp') / (num_no + 2))

    No value, with the reason, where there is nothing to count or the judge knows no more than chance (Se + Sp <= 1).
    """
    c = calibration
    if not n or not c.num_yes or not c.num_no:
        lacking = (
            "no verdict" if not n else "no answer that a person said yes to" if not c.num_yes else "no answer that a person said no to"
        )
        return Estimate(None, n=n, reason=f"{lacking}, so nothing can be corrected")
    sensitivity, specificity = c.hits / c.num_yes, c.rejections / c.num_no
    if sensitivity + specificity <= 1:
        reason = f"by its calibration the judge is no better than chance (sensitivity {sensitivity:.2f}, specificity {specificity:.2f})"
        return Estimate(None, n=n, reason=reason)
    value = (num_yes / n + specificity - 1) / (sensitivity + specificity - 1)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    q = (num_yes + z**2 / 2) / (n + z**2)
    se, sp = (c.hits + 1) / (c.num_yes + 2), (c.rejections + 1) / (c.num_no + 2)
    skill = se + sp - 1
    if skill <= 0:
        return Estimate(min(1.0, max(0.0, value)), n=n, reason="no interval: too few labels to tell the judge from chance")
    p = min(1.0, max(0.0, (q + sp - 1) / skill))
    var_se, var_sp = se * (1 - se) / (c.num_yes + 2), sp * (1 - sp) / (c.num_no + 2)
    shift = 2 * z**2 * (p * var_se - (1 - p) * var_sp)
    half = z * math.sqrt(q * (1 - q) / (n + z**2) + p**2 * var_se + (1 - p) ** 2 * var_sp) / skill
    low, high, value = (min(1.0, max(0.0, bound)) for bound in (p + shift - half, p + shift + half, value))
    return Estimate(value, min(low, value), max(high, value), n)
