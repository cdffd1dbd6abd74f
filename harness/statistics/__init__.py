"""Estimates, their intervals, and paired comparisons. Every random draw uses a seed from the caller."""

from __future__ import annotations

from .comparisons import Difference, McNemar, holm, mcnemar, paired_bootstrap, paired_mean_difference
from .estimates import estimate, samples_to_decide
from .evidence import Evidence, get_evidence, pair_evidence
from .groups import Groups
from .intervals import CONFIDENCE, Interval
from .means import bounded_mean, rate
from .paired import compare_evidence, compare_rates

__all__ = [
    "CONFIDENCE",
    "Difference",
    "Evidence",
    "Groups",
    "Interval",
    "McNemar",
    "bounded_mean",
    "compare_evidence",
    "compare_rates",
    "estimate",
    "get_evidence",
    "holm",
    "mcnemar",
    "pair_evidence",
    "paired_bootstrap",
    "paired_mean_difference",
    "rate",
    "samples_to_decide",
]
