"""True rates, corrected for the errors of a judge.

Shape legend: G groups of answers (an answer without a group is a group of its own).
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
    """Counts of a judge's verdicts against human labels.

    hits: verdicts yes among the ``num_yes`` answers labelled yes.
    rejections: verdicts no among the ``num_no`` answers labelled no.
    """

    hits: float
    num_yes: float
    rejections: float
    num_no: float


def correct_rate(seen_G2: Ints, known_G4: Ints) -> Estimate:
    """Estimate the true rate from a judge's verdicts and its calibration.

    seen_G2: number of verdicts yes, and of answers, in each group, int [G, 2].
    known_G4: the four counts of a `Calibration` in each group, int [G, 4].

    The interval is that of `rogan_gladen`, with the effective number of independent answers for each of its three rates.
    """
    (num_yes, n), known = map(int, seen_G2.sum(0)), Calibration(*map(int, known_G4.sum(0)))
    pooled = rogan_gladen(num_yes, n, known)
    if pooled.value is None:
        return pooled
    sizes = [_estimate_effective_answers(part_G2) for part_G2 in (seen_G2, known_G4[:, :2], known_G4[:, 2:])]
    seen, yes, no = sizes
    if seen is None or yes is None or no is None:
        return Estimate(pooled.value, n=n, reason=f"too few to bound: {FEW_GROUPS}")
    alone = Calibration(known.hits / known.num_yes * yes, yes, known.rejections / known.num_no * no, no)
    few = rogan_gladen(num_yes / n * seen, seen, alone)
    if few.low is None or few.high is None:
        return Estimate(pooled.value, n=n, reason=few.reason)
    return Estimate(pooled.value, min(few.low, pooled.value), max(few.high, pooled.value), n)


def _estimate_effective_answers(counts_G2: Ints) -> float | None:
    """Return the effective number of independent answers of a rate, from successes and answers of each group."""
    successes_G, sizes_G = counts_G2[counts_G2[:, 1] > 0].T
    rate = float(successes_G.sum() / sizes_G.sum())
    return effective_size(successes_G - rate * sizes_G, sizes_G, float(sizes_G.sum()) * rate * (1 - rate), 1.0)


def rogan_gladen(num_yes: float, n: float, calibration: Calibration) -> Estimate:
    """Estimate the true rate p from ``num_yes`` verdicts yes among ``n`` answers (Rogan & Gladen 1978).

    With q the rate of verdicts yes, Se the sensitivity and Sp the specificity of the judge, q = p Se + (1 - p) (1 - Sp),
    so

        p = (q + Sp - 1) / (Se + Sp - 1),  clipped to [0, 1]

    The interval is Lang & Reiczigel's (2014), which includes the errors of Se and Sp. With z the normal quantile,
    q' = (num_yes + z²/2) / (n + z²), Se' = (hits + 1) / (num_yes + 2), Sp' likewise, and p' the formula above for these:

        p' + d ± z sqrt(q'(1 - q') / (n + z²) + p'² Se'(1 - Se') / (num_yes + 2) + (1 - p')² Sp'(1 - Sp') / (num_no + 2)) / (Se' + Sp' - 1)
        d = 2 z² (p' Se'(1 - Se') / (num_yes + 2) - (1 - p') Sp'(1 - Sp') / (num_no + 2))

    The value is None, with the reason, if there are no counts or the judge is no better than chance (Se + Sp <= 1).
    """
    c = calibration
    if not n or not c.num_yes or not c.num_no:
        lacking = "no verdict" if not n else "no answer with the human label yes" if not c.num_yes else "no answer with the human label no"
        return Estimate(None, n=int(n), reason=f"{lacking}, so the rate cannot be corrected")
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
        return Estimate(
            min(1.0, max(0.0, value)), n=int(n), reason="too few to bound: by these labels the judge may be no better than chance"
        )
    p = min(1.0, max(0.0, (q + sp - 1) / skill))
    var_se, var_sp = se * (1 - se) / (c.num_yes + 2), sp * (1 - sp) / (c.num_no + 2)
    shift = 2 * z**2 * (p * var_se - (1 - p) * var_sp)
    half = z * math.sqrt(q * (1 - q) / (n + z**2) + p**2 * var_se + (1 - p) ** 2 * var_sp) / skill
    low, high, value = (min(1.0, max(0.0, bound)) for bound in (p + shift - half, p + shift + half, value))
    return Estimate(value, min(low, value), max(high, value), int(n))
