"""The input of all scores: a sample with its attribution and the controls to compare it with.

Shape legend: P parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....api.requests import Classify
from ....api.samples import Attribution, Sample, SampleRng
from ....modalities.base import Parts
from ....modalities.inputs import list_parts
from ....modalities.removal import keep_parts, list_ways, remove_parts

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Ranking(NamedTuple):
    """An attribution and the order of its parts.

    values: attribution of each part, [P].
    order: indices of the parts from the most to the least important, [P].
    """

    values: Floats
    order: NDArray[np.intp]

    def first(self, share: float, /) -> Mask:
        """Return a mask [P] of the top ``share`` of the parts, rounded up. It is empty only for a share of 0."""
        chosen = np.zeros(self.order.size, dtype=bool)
        chosen[self.order[: count_parts(share, self.order.size)]] = True
        return chosen


def count_parts(share: float, size: int, /) -> int:
    """Return the number of parts in a share of ``size``: rounded up, and at least 1 unless the share is 0."""
    return max(1, int(np.ceil(share * size))) if share else 0


def rank_parts(attribution: Attribution, /) -> Ranking:
    """Return the ranking of an attribution. Parts of equal value keep their order in the input."""
    values = attribution.values.reshape(-1).astype(np.float64)
    return Ranking(values, np.argsort(-values, kind="stable"))


def shuffle_values(ranking: Ranking, order: NDArray[np.intp], /) -> Ranking:
    """Return the random control: the same values, assigned to the parts in another order.

    order: indices of the parts from the most to the least important, [P].
    """
    values = np.empty_like(ranking.values)
    values[order] = ranking.values[ranking.order]
    return Ranking(values, order)


@dataclass(slots=True)
class Subject:
    """A sample with the rankings of its attribution and controls.

    rankings: by suffix: ``""`` for the attribution, ``_random`` for the random control, and ``_randomised`` for the
        model with random weights, if there is one.
    parts: parts of the input, one per value of the attribution.
    ways: the ways to remove parts from this input for this model (`removal.list_ways`).
    token: the token that replaces a masked word.
    """

    sample: Sample
    attribution: Attribution
    rankings: Mapping[str, Ranking]
    parts: Parts
    ways: tuple[str, ...]
    token: str
    _made: dict[tuple[str, bool, bytes], Classify] = field(default_factory=dict)

    def whole(self) -> Classify:
        """Return the request for the whole input."""
        return Classify(self.sample.input, self.sample.labels)

    def without(self, hidden_P: Mask, way: str, /) -> Classify:
        """Return the request for the input without some parts. ``hidden_P``: mask [P] of the parts to remove."""
        return self._make_reduced(hidden_P, way, keep=False)

    def only(self, shown_P: Mask, way: str, /) -> Classify:
        """Return the request for the input with some parts alone. ``shown_P``: mask [P] of the parts to keep."""
        return self._make_reduced(shown_P, way, keep=True)

    def _make_reduced(self, mask_P: Mask, way: str, *, keep: bool) -> Classify:
        """Return a request for a reduced input. It is cached, because several scores use the same masks."""
        key = way, keep, np.packbits(mask_P).tobytes()
        if key not in self._made:
            change = keep_parts if keep else remove_parts
            self._made[key] = Classify(change(self.sample.input, self.parts, mask_P, way, self.token), self.sample.labels)
        return self._made[key]


def make_subject(sample: Sample, attribution: Attribution, other: Attribution | None, rng: SampleRng, token: str | None, /) -> Subject:
    """Create the subject of a sample.

    sample: the sample as the model sees it.
    attribution: its attribution.
    other: attribution of the same method for the model with random weights; None if there is none.
    rng: decides the order of the random control, which depends on the sample's id alone.
    token: mask token of the model; None if it has none.
    """
    own = rank_parts(attribution)
    rankings = {"": own, "_random": shuffle_values(own, rng(sample.id).permutation(own.order.size))}
    if other is not None:
        rankings["_randomised"] = rank_parts(other)
    parts = attribution.spans or list_parts(sample.input)
    return Subject(sample, attribution, rankings, parts, list_ways(sample.input, token), token or "")
