"""Measure how well an attribution agrees with human rationales (DeYoung et al. 2020, ERASER, section 4).

The rationale of a sample is in ``metadata["rationale"]``, as (start, end) spans of the text. A word is marked if it
overlaps with such a span. The same number of words is taken from the top of the ranking, so that precision and recall
are equal.

Shape legend: P parts (here words).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from .scored_attribution import Floats, Mask, Ranking, Subject

_MATCH = 0.5
"""Smallest intersection over union of two matching runs of words."""


def compute_plausibility(subject: Subject, /) -> dict[str, float]:
    """Compute the scores for the attribution and its controls.

    The scores are ``token_f1`` of the top words, ``iou_f1`` of their runs, and ``auprc`` of the ranking. The result is
    empty if no word or every word is marked, or if the explained class is not the sample's target, to which the
    rationale refers.
    """
    marked_P = mark_words(subject)
    if not marked_P.any() or marked_P.all() or subject.attribution.target != subject.sample.target:
        return {}
    scores: dict[str, float] = {}
    for suffix, ranking in subject.rankings.items():
        top_P = np.zeros_like(marked_P)
        top_P[ranking.order[: marked_P.sum()]] = True
        scores[f"token_f1{suffix}"] = float((top_P & marked_P).sum() / marked_P.sum())
        scores[f"iou_f1{suffix}"] = compute_iou_f1(find_runs(top_P), find_runs(marked_P))
        scores[f"auprc{suffix}"] = average_precision(_rank_values(ranking), marked_P)
    return scores


def mark_words(subject: Subject, /) -> Mask:
    """Return a mask [P] of the words that overlap with the rationale."""
    given = subject.sample.metadata.get("rationale", ())
    return np.array([any(a < end and start < b for start, end in given) for a, b in subject.attribution.spans], dtype=bool)


def find_runs(chosen_P: Mask, /) -> list[tuple[int, int]]:
    """Return (start, end) of each run of adjacent words in a mask [P]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen_P.astype(np.int8), [0]]))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def compute_iou_f1(found: Sequence[tuple[int, int]], wanted: Sequence[tuple[int, int]], /) -> float:
    """Return the F1 score of runs of words.

    found: (start, end) of the runs in the attribution.
    wanted: (start, end) of the runs in the rationale.

    A run counts as a match if its intersection over union with a run of the other side is at least `_MATCH`.
    """

    def overlap(a: tuple[int, int], b: tuple[int, int]) -> float:
        common = max(0, min(a[1], b[1]) - max(a[0], b[0]))
        return common / (a[1] - a[0] + b[1] - b[0] - common)

    def matched(some: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> float:
        return sum(max(overlap(a, b) for b in others) >= _MATCH for a in some) / len(some)

    precision, recall = matched(found, wanted), matched(wanted, found)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _rank_values(ranking: Ranking) -> Floats:
    """Return values [P] whose order is that of the ranking.

    For the random control, the order of the parts decides between equal values. For other rankings they stay equal.
    """
    if np.array_equal(ranking.order, np.argsort(-ranking.values, kind="stable")):
        return ranking.values
    values = np.empty_like(ranking.values)
    values[ranking.order] = -np.arange(values.size)
    return values


def average_precision(values: Floats, marked_P: Mask, /) -> float:
    """Return the average precision: the sum over thresholds of precision times the increase in recall.

    values: attribution of each part, [P]. Equal values share a threshold.
    marked_P: whether each part is in the rationale, [P].
    """
    order = np.argsort(-values, kind="stable")
    hits = marked_P[order].cumsum()
    ends = [i for i, (a, b) in enumerate(itertools.pairwise([*values[order], -np.inf])) if a != b]
    recalls = np.concatenate([[0], hits[ends]]) / marked_P.sum()
    return float(np.diff(recalls) @ (hits[ends] / (np.array(ends) + 1)))
