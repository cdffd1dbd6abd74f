"""Measure how the probability of the explained class changes when parts are removed or inserted by importance.

Comprehensiveness and sufficiency (DeYoung et al. 2020, ERASER, section 4): let p(x) be the probability of the explained
class, and r the top share of the parts. Comprehensiveness is p(x) - p(x without r); it is high if the attribution finds
the parts that matter. Sufficiency is p(x) - p(r alone); it is low if these parts are enough. Both are averaged over the
shares in `SHARES`.

AOPC (Samek et al. 2017, eq. 12) is the mean of p(x) - p(x without r) over all shares of `GRID` except 0. The deletion
AUC is the area under p as the top parts are removed, and the insertion AUC is the area as they are inserted
(Petsiuk et al. 2018, RISE, section 3.3). Both areas follow the trapezoid rule over `GRID`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from ....api.requests import Classify
from .scored_attribution import Ranking, Subject

SHARES = (0.1, 0.2, 0.3, 0.5)
GRID = (0.0, *SHARES, 0.75, 1.0)

Probability = Mapping[Classify, float]
"""The probability of the explained class for each request."""


def list_erasure_requests(subject: Subject, /) -> Iterator[Classify]:
    """Yield the requests that `compute_erasure` needs; some may be equal."""
    yield subject.whole()
    for ranking in subject.rankings.values():
        for share in SHARES:
            yield subject.without(ranking.first(share), subject.ways[0])
            yield subject.only(ranking.first(share), subject.ways[0])


def compute_erasure(subject: Subject, p: Probability, /) -> dict[str, float]:
    """Compute comprehensiveness and sufficiency for the attribution and its controls.

    p: probability of the explained class for each request of `list_erasure_requests`.
    """
    full, way = p[subject.whole()], subject.ways[0]
    scores: dict[str, float] = {}
    for suffix, ranking in subject.rankings.items():
        gone = [p[subject.without(ranking.first(share), way)] for share in SHARES]
        left = [p[subject.only(ranking.first(share), way)] for share in SHARES]
        scores[f"comprehensiveness{suffix}"] = full - math.fsum(gone) / len(SHARES)
        scores[f"sufficiency{suffix}"] = full - math.fsum(left) / len(SHARES)
    return scores


def _compute_area(values: Sequence[float]) -> float:
    """Return the area under a curve of values at the shares of `GRID`, by the trapezoid rule."""
    parts = zip(itertools.pairwise(GRID), itertools.pairwise(values), strict=True)
    return math.fsum((right - left) * (a + b) / 2 for (left, right), (a, b) in parts)


def _list_deleted(subject: Subject, ranking: Ranking, way: str) -> list[Classify]:
    """Return the request at each share of `GRID`, with the top parts removed."""
    return [subject.whole(), *(subject.without(ranking.first(share), way) for share in GRID[1:])]


def _list_inserted(subject: Subject, ranking: Ranking, way: str) -> list[Classify]:
    """Return the request at each share of `GRID`, with the top parts alone."""
    return [*(subject.only(ranking.first(share), way) for share in GRID[:-1]), subject.whole()]


def list_curve_requests(subject: Subject, /) -> Iterator[Classify]:
    """Yield the requests that `compute_curves` needs; some may be equal."""
    for way in subject.ways:
        for ranking in subject.rankings.values():
            yield from _list_deleted(subject, ranking, way)
            yield from _list_inserted(subject, ranking, way)


def compute_curves(subject: Subject, p: Probability, /) -> dict[str, float]:
    """Compute AOPC, and both AUCs for each way of removal, for the attribution and its controls.

    p: probability of the explained class for each request of `list_curve_requests`.
    """
    scores: dict[str, float] = {}
    for suffix, ranking in subject.rankings.items():
        for way in subject.ways:
            deleted, inserted = ([p[request] for request in made(subject, ranking, way)] for made in (_list_deleted, _list_inserted))
            scores[f"deletion_auc_{way}{suffix}"] = _compute_area(deleted)
            scores[f"insertion_auc_{way}{suffix}"] = _compute_area(inserted)
            if way == subject.ways[0]:
                scores[f"aopc{suffix}"] = deleted[0] - math.fsum(deleted[1:]) / len(deleted[1:])
    return scores
