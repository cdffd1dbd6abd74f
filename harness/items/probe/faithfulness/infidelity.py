"""Measure how well an attribution predicts the effect of removing parts.

Infidelity (Yeh et al. 2019, On the (In)fidelity and Sensitivity of Explanations): let S be a random set of parts, a(S)
the sum of their attributions, and d(S) the decrease of the logit without them. Infidelity is the mean of
(b a(S) - d(S))² over `NUM_SETS` sets, in squared units of the logit. The factor b is the least-squares fit, because
attributions have no unit of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ....api.requests import Classify
from ....api.samples import SampleRng
from ....modalities.regions import find_regions
from .scored_attribution import Mask, Subject

NUM_SETS = 10
_REGIONS = 8
"""Regions per side of an image; a set removes whole regions."""


def draw_hidden_sets(subject: Subject, rng: SampleRng, /) -> list[Mask]:
    """Draw `NUM_SETS` sets of parts, as masks [P]: first the number of regions, from 1 to all, then the regions.

    In a sequence every part is a region. rng: decides the draws, together with the sample's id.
    """
    draws = rng(f"infidelity of {subject.sample.id}")
    region_P = find_regions(subject.parts, _REGIONS).reshape(-1)
    num = int(region_P.max()) + 1
    sets = []
    for _ in range(NUM_SETS):
        chosen = np.zeros(num, dtype=bool)
        chosen[draws.permutation(num)[: draws.integers(1, num + 1)]] = True
        sets.append(chosen[region_P])
    return sets


def list_infidelity_requests(subject: Subject, rng: SampleRng) -> Iterator[Classify]:
    """Yield the requests that `compute_infidelity` needs. ``rng``: must be the same for both."""
    yield subject.whole()
    for hidden_P in draw_hidden_sets(subject, rng):
        yield subject.without(hidden_P, subject.ways[0])


def compute_infidelity(subject: Subject, logit: Mapping[Classify, float], rng: SampleRng) -> dict[str, float]:
    """Compute infidelity for the attribution and its controls.

    logit: logit of the explained class for each request of `list_infidelity_requests`.
    """
    sets = draw_hidden_sets(subject, rng)
    falls = np.array([logit[subject.whole()] - logit[subject.without(hidden_P, subject.ways[0])] for hidden_P in sets])
    scores = {}
    for suffix, ranking in subject.rankings.items():
        sums = np.array([ranking.values[hidden_P].sum() for hidden_P in sets])
        size = float(sums @ sums)
        factor = float(sums @ falls) / size if size else 0.0
        scores[f"infidelity{suffix}"] = float(np.mean((factor * sums - falls) ** 2))
    return scores
