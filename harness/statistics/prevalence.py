"""A rate as a judge that errs sees it, and the true rate behind it.

Shape legend: G groups of answers that belong together (an answer without a group is one of its own).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..api.scorecard import Estimate
from .groups import effective_size
from .intervals import Ints, Z
from .means import FEW_GROUPS


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge against people, in counts: of ``num_yes`` answers that a person said yes to, the judge did so to ``hits``; of ``num_no``, it
    rightly said no to ``rejections``."""

    hits: float
    num_yes: float
    rejections: float
    num_no: float


def corrected(seen_G2: Ints, known_G4: Ints) -> Estimate:
    """The true rate behind what a judge saw, from counts a group. ``seen_G2``: answers that the judge said yes to, and answers.
    ``known_G4``: the four counts of a `Calibration`.

    The interval is `rogan_gladen`'s, with each of the three rates counted over as many independent answers as its groups are worth.
    """
    (num_yes, n), known = map(int, seen_G2.sum(0)), Calibration(*map(int, known_G4.sum(0)))
    found = rogan_gladen(num_yes, n, known)
    if found.value is None:
        return found
    sizes = [_worth(part_G2) for part_G2 in (seen_G2, known_G4[:, :2], known_G4[:, 2:])]
    seen, yes, no = sizes
    if seen is None or yes is None or no is None:
        return Estimate(found.value, n=n, reason=f"too few to bound: {FEW_GROUPS}")
    alone = Calibration(known.hits / known.num_yes * yes, yes, known.rejections / known.num_no * no, no)
    few = rogan_gladen(num_yes / n * seen, seen, alone)
    if few.low is None or few.high is None:
        return Estimate(found.value, n=n, reason=few.reason)
    return Estimate(found.value, min(few.low, found.value), max(few.high, found.value), n)


def _worth(counts_G2: Ints) -> float | None:
    """How many independent answers a rate of ``counts_G2``, successes and answers of each group, rests on."""
    successes_G, sizes_G = counts_G2[counts_G2[:, 1] > 0].T
    rate = float(successes_G.sum() / sizes_G.sum())
    return effective_size(successes_G - rate * sizes_G, sizes_G, float(sizes_G.sum()) * rate * (1 - rate), 1.0)


def rogan_gladen(num_yes: float, n: float, calibration: Calibration) -> Estimate:
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
        return Estimate(None, n=int(n), reason=f"{lacking}, so nothing can be corrected")
    sensitivity, specificity = c.hits / c.num_yes, c.rejections / c.num_no
    if sensitivity + specificity <= 1:
        reason = f"by its calibration the judge is no better than chance (sensitivity {sensitivity:.2f}, specificity {specificity:.2f})"
        return Estimate(None, n=int(n), reason=reason)
    value = (num_yes / n + specificity - 1) / (sensitivity + specificity - 1)
    z = Z
    q = (num_yes + z**2 / 2) / (n + z**2)
    se, sp = (c.hits + 1) / (c.num_yes + 2), (c.rejections + 1) / (c.num_no + 2)
    skill = se + sp - 1
    if skill <= 0:
        return Estimate(min(1.0, max(0.0, value)), n=int(n), reason="too few to bound: the labels do not tell the judge from chance")
    p = min(1.0, max(0.0, (q + sp - 1) / skill))
    var_se, var_sp = se * (1 - se) / (c.num_yes + 2), sp * (1 - sp) / (c.num_no + 2)
    shift = 2 * z**2 * (p * var_se - (1 - p) * var_sp)
    half = z * math.sqrt(q * (1 - q) / (n + z**2) + p**2 * var_se + (1 - p) ** 2 * var_sp) / skill
    low, high, value = (min(1.0, max(0.0, bound)) for bound in (p + shift - half, p + shift + half, value))
    return Estimate(value, min(low, value), max(high, value), int(n))
