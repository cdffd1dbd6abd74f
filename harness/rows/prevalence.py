"""A rate as a judge that errs sees it, and the true rate behind it.

Shape legend: G groups of answers that belong together (an answer without a group is one of its own), R resamples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ..scorecard import Estimate
from ..statistics import CONFIDENCE

_NUM_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge against people, in counts: of ``num_yes`` answers that a person said yes to, the judge did so to ``hits``; of ``num_no``, it
    rightly said no to ``rejections``."""

    hits: float
    num_yes: float
    rejections: float
    num_no: float


def corrected(seen_G2: NDArray[np.int64], known_G4: NDArray[np.int64], seed: int, confidence: float = CONFIDENCE) -> Estimate:
    """The true rate behind what a judge saw, from counts a group. ``seen_G2``: answers that the judge said yes to, and answers.
    ``known_G4``: the four counts of a `Calibration`.

    Where each answer is a group of its own, `rogan_gladen`. Else the interval is the percentile bootstrap over whole groups, of the answers
    and of the calibration alike. Where that sees no spread, because a rate is 0 or 1, each group counts as one answer.
    """
    (num_yes, n), known = map(int, seen_G2.sum(0)), Calibration(*map(int, known_G4.sum(0)))
    found = rogan_gladen(num_yes, n, known, confidence)
    if found.value is None or (len(seen_G2) == n and len(known_G4) == known.num_yes + known.num_no):
        return found
    bounds = _bootstrap(seen_G2, known_G4, np.random.default_rng(seed), confidence)
    if bounds is None:
        yes_G, no_G = known_G4[:, 1] > 0, known_G4[:, 3] > 0
        sensitivity, specificity = known.hits / known.num_yes, known.rejections / known.num_no
        alone = Calibration(sensitivity * yes_G.sum(), float(yes_G.sum()), specificity * no_G.sum(), float(no_G.sum()))
        few = rogan_gladen(num_yes / n * len(seen_G2), len(seen_G2), alone, confidence)
        return Estimate(found.value, few.low, few.high, n, reason=few.reason)
    return Estimate(found.value, min(bounds[0], found.value), max(bounds[1], found.value), n)


def _bootstrap(
    seen_G2: NDArray[np.int64], known_G4: NDArray[np.int64], rng: np.random.Generator, confidence: float
) -> tuple[float, float] | None:
    """Bounds of the corrected rate; None where the resamples do not tell how sure it is."""
    drawn_R2, drawn_R4 = (
        rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=_NUM_RESAMPLES) @ counts for counts in (seen_G2, known_G4)
    )
    pairs = ((drawn_R2[:, 0], drawn_R2[:, 1]), (drawn_R4[:, 0], drawn_R4[:, 1]), (drawn_R4[:, 2], drawn_R4[:, 3]))
    rates = [np.divide(part, whole, out=np.full(_NUM_RESAMPLES, np.nan), where=whole > 0) for part, whole in pairs]
    if any(not np.nanstd(rate_R) for rate_R in rates):
        return None
    seen_R, sensitivity_R, specificity_R = rates
    skill_R = sensitivity_R + specificity_R - 1
    usable_R = skill_R > 0
    if usable_R.mean() <= 0.5:
        return None
    values = np.clip((seen_R + specificity_R - 1)[usable_R] / skill_R[usable_R], 0, 1)
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return (float(low), float(high)) if low < high else None


def rogan_gladen(num_yes: float, n: int, calibration: Calibration, confidence: float = CONFIDENCE) -> Estimate:
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
