"""Intervals that hold at every number of samples at once, so that a run may stop as soon as a question is decided.

An interval for a fixed number of samples misses more often than promised if it is computed after every chunk and the run
stops when it is convenient: 16 to 22 of 100 runs instead of 5 with 20 looks.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln

from .intervals import CONFIDENCE, Interval

_PRIOR = 0.5


def mean_at_any_time(values: ArrayLike, low: float = 0.0, high: float = 1.0) -> Interval:
    """Return the interval of a mean from a confidence sequence: with 95 % probability, it holds after every sample.

    values: independent scores between ``low`` and ``high`` in the order of observation, float [N].

    The likelihood ratio of a beta mixture to a fixed mean p is a martingale for zeros and ones (Robbins, Annals of
    Mathematical Statistics 1970), and a supermartingale for any values between them, because x -> q^x (1 - q)^(1 - x)
    is convex. By Ville's inequality it exceeds 1 / alpha at any time with a probability of at most alpha.
    """
    # Not on top: planning a run needs no solver.
    from scipy.optimize import brentq

    scores_N = (np.asarray(values, dtype=np.float64) - low) / (high - low)
    n, total = len(scores_N), float(scores_N.sum())
    if n == 0:
        return Interval.none("no sample could be scored")

    def log_evidence(p: float) -> float:
        """Return the log of the evidence against the mean p, minus the threshold."""
        mixture = float(betaln(_PRIOR + total, _PRIOR + n - total) - betaln(_PRIOR, _PRIOR))
        return mixture - _times_log(total, p) - _times_log(n - total, 1 - p) + math.log(1 - CONFIDENCE)

    mean, edge = total / n, 1e-12
    least = 0.0 if total <= edge or log_evidence(edge) <= 0 else float(brentq(log_evidence, edge, mean))
    most = 1.0 if n - total <= edge or log_evidence(1 - edge) <= 0 else float(brentq(log_evidence, mean, 1 - edge))
    return Interval(low + (high - low) * least, low + (high - low) * most)


def _times_log(count: float, p: float) -> float:
    return count * math.log(p) if count else 0.0
