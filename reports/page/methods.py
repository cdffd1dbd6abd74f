"""How the page's numbers are computed: a sentence for each kind of number that a scorecard has."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...harness.api.scorecard import Measure

_COUNT = "The share of samples; its interval is exact (Clopper & Pearson 1934), and wider if samples belong to groups."
_MEAN = "The mean of a score over samples; the interval is Gaffke's (2005), which holds for any score between known bounds."
_CLASSES = "The average over classes; the interval is the delta method on a smoothed confusion matrix (Agresti & Coull 1998)."
_CLASS = "Over the samples or predictions of one class; the interval is exact."
_OPEN = "The mean of a score without a bound; the interval is the wider of Hall's (1992) and Gaffke's, and missing below 50 samples."
_PAIRED = "The mean of the differences, sample by sample; the interval is Gaffke's for the differences."
_METHODS: Mapping[str, str] = {
    "rate": _COUNT, "accuracy": _COUNT, "mean in [0, 1]": _MEAN, "mean in [-1, 1]": _MEAN, "Brier score": _MEAN,
    "mean without bound": _OPEN,
    "balanced accuracy": _CLASSES, "macro precision": _CLASSES, "macro recall": _CLASSES, "macro-F1": _CLASSES, "weighted F1": _CLASSES,
    "Matthews": _CLASSES, "kappa": _CLASSES, "precision of a class": _CLASS, "recall of a class": _CLASS,
    "F1": "TP / (TP + FP + FN) of one class turned into F1; the interval is exact (Lam, Gopal & Qian 2023).",
    "paired difference": _PAIRED, "paired difference without bound": _PAIRED,
    "median": "Half of the samples lie below; the interval lies between two of them, by the binomial distribution (Thompson 1936).",
    "geometric mean": "Times of chunks multiplied, and the root of that; the interval is Student's, over blocks of neighbouring chunks.",
    "perplexity": "From the log-likelihood of all documents; the interval is that of each document's contribution (Cochran 1977).",
    "ROC-AUC": "Chance that a positive sample scores above a negative one; its interval joins Newcombe's method 5 and DeLong's variance.",
    "log loss": "The mean surprise at the right class; the interval is Gaffke's, up to the loss of the least likely label.",
    "ECE": "The mean gap between confidence and accuracy over 15 bins; the interval inverts consistency resampling (Bröcker & Smith 2007).",
    "overprediction": "Gaffke over the samples with the word, joined with the interval of the base rate (Zou & Donner 2008).",
    "rate corrected for a judge": "The judged share, corrected by answers that people labelled (Lang & Reiczigel 2014).",
    "difference of rates": "The difference of two rates on the same samples; the interval is Newcombe's method 10 (1998).",
}  # fmt: skip
_OTHER = "A number of a plugin; without an interval of its own it has the percentile bootstrap (Efron 1979)."


def name_anchor(kind: str, /) -> str:
    """Return the id of the paragraph about a kind of number; empty for exact counts."""
    return f"how-{re.sub(r'[^a-z0-9]+', '-', kind.lower()).strip('-')}" if kind else ""


def list_methods(measures: Mapping[str, Measure], /) -> list[tuple[str, str, str]]:
    """Return (anchor, kind, sentence) of each kind of number among the measures."""
    kinds = sorted({measure.kind for measure in measures.values() if measure.kind}, key=str.lower)
    return [(name_anchor(kind), kind, _METHODS.get(kind, _OTHER)) for kind in kinds]
