"""How far an attribution marks the words that people marked (DeYoung et al. 2020, ERASER, section 4).

A sample's rationale is in its ``metadata["rationale"]``, (start, end) places in the text; a word that touches one is marked. As many words
as people marked are taken from the top of the ranking, so precision and recall are one number.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from .scored_attribution import Floats, Mask, Ranking, Subject

_MATCH = 0.5
"""Of words in either span, the share in both that makes a match."""


def plausibility_scores(subject: Subject, /) -> dict[str, float]:
    """``token_f1`` of the top words, ``iou_f1`` of their runs, ``auprc`` of the ranking. Empty where no word is marked or all are, and
    where another class than the sample's own is explained: people marked what speaks for that one."""
    marked_P = marked(subject)
    if not marked_P.any() or marked_P.all() or subject.attribution.target != subject.sample.target:
        return {}
    scores: dict[str, float] = {}
    for suffix, ranking in subject.rankings.items():
        top_P = np.zeros_like(marked_P)
        top_P[ranking.order[: marked_P.sum()]] = True
        scores[f"token_f1{suffix}"] = float((top_P & marked_P).sum() / marked_P.sum())
        scores[f"iou_f1{suffix}"] = iou_f1(runs(top_P), runs(marked_P))
        scores[f"auprc{suffix}"] = average_precision(_values(ranking), marked_P)
    return scores


def marked(subject: Subject, /) -> Mask:
    """[P], true for the words that touch the rationale."""
    given = subject.sample.metadata.get("rationale", ())
    return np.array([any(a < end and start < b for start, end in given) for a, b in subject.attribution.spans], dtype=bool)


def runs(chosen_P: Mask, /) -> list[tuple[int, int]]:
    """(start, end) of the words that stand side by side."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen_P.astype(np.int8), [0]]))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def iou_f1(found: Sequence[tuple[int, int]], wanted: Sequence[tuple[int, int]], /) -> float:
    """A run is matched where its intersection over union with one of the other side is at least a half."""

    def overlap(a: tuple[int, int], b: tuple[int, int]) -> float:
        common = max(0, min(a[1], b[1]) - max(a[0], b[0]))
        return common / (a[1] - a[0] + b[1] - b[0] - common)

    def matched(some: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> float:
        return sum(max(overlap(a, b) for b in others) >= _MATCH for a in some) / len(some)

    precision, recall = matched(found, wanted), matched(wanted, found)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _values(ranking: Ranking) -> Floats:
    """The random control's order decides between equal values; elsewhere they are equal."""
    if np.array_equal(ranking.order, np.argsort(-ranking.values, kind="stable")):
        return ranking.values
    values = np.empty_like(ranking.values)
    values[ranking.order] = -np.arange(values.size)
    return values


def average_precision(values: Floats, marked_P: Mask, /) -> float:
    """The sum over thresholds of precision times the gain in recall; equal values share a threshold."""
    order = np.argsort(-values, kind="stable")
    hits = marked_P[order].cumsum()
    ends = [i for i, (a, b) in enumerate(itertools.pairwise([*values[order], -np.inf])) if a != b]
    recalls = np.concatenate([[0], hits[ends]]) / marked_P.sum()
    return float(np.diff(recalls) @ (hits[ends] / (np.array(ends) + 1)))
