"""What is scored: a sample with its attribution, and beside it the controls that every score is read against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....api.requests import Classify
from ....api.samples import Attribution, Sample, SampleRng
from ....modalities.base import Parts
from ....modalities.inputs import parts_of
from ....modalities.removal import alone, removed, ways_of

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Ranking(NamedTuple):
    """``values`` [P]: each part's attribution. ``order`` [P]: the parts from the most to the least important."""

    values: Floats
    order: NDArray[np.intp]

    def first(self, share: float, /) -> Mask:
        """[P], true for the top share of the parts, rounded up; at least one of them unless the share is 0."""
        chosen = np.zeros(self.order.size, dtype=bool)
        chosen[self.order[: num_of(share, self.order.size)]] = True
        return chosen


def num_of(share: float, size: int, /) -> int:
    return max(1, int(np.ceil(share * size))) if share else 0


def ranked(attribution: Attribution, /) -> Ranking:
    """Parts of equal value keep the order they have in the input."""
    values = attribution.values.reshape(-1).astype(np.float64)
    return Ranking(values, np.argsort(-values, kind="stable"))


def shuffled(ranking: Ranking, order: NDArray[np.intp], /) -> Ranking:
    """The random control: the same values, given to the parts in another order."""
    values = np.empty_like(ranking.values)
    values[order] = ranking.values[ranking.order]
    return Ranking(values, order)


@dataclass(slots=True)
class Subject:
    """``rankings``: the attribution's own under ``""``, the controls' under ``_random`` and, where there is one, ``_randomised``.
    ``parts``: of the input, one a value. ``ways``: what "removed" can mean for this input and model (`removal.ways_of`). ``token``: what
    masks a word.
    """

    sample: Sample
    attribution: Attribution
    rankings: Mapping[str, Ranking]
    parts: Parts
    ways: tuple[str, ...]
    token: str
    _made: dict[tuple[str, bool, bytes], Classify] = field(default_factory=dict)

    def whole(self) -> Classify:
        return Classify(self.sample.input, self.sample.labels)

    def without(self, hidden_P: Mask, way: str, /) -> Classify:
        return self._changed(hidden_P, way, keep=False)

    def only(self, shown_P: Mask, way: str, /) -> Classify:
        return self._changed(shown_P, way, keep=True)

    def _changed(self, mask_P: Mask, way: str, *, keep: bool) -> Classify:
        """Scores ask for the same parts again and again, and what was made is made once."""
        key = way, keep, np.packbits(mask_P).tobytes()
        if key not in self._made:
            change = alone if keep else removed
            self._made[key] = Classify(change(self.sample.input, self.parts, mask_P, way, self.token), self.sample.labels)
        return self._made[key]


def subject_of(sample: Sample, attribution: Attribution, other: Attribution | None, rng: SampleRng, token: str | None, /) -> Subject:
    """``other``: the same method's attribution of the model with randomised weights. ``token``: None where the model has none for masking.

    The random control's order is decided by the sample's id alone.
    """
    own = ranked(attribution)
    rankings = {"": own, "_random": shuffled(own, rng(sample.id).permutation(own.order.size))}
    if other is not None:
        rankings["_randomised"] = ranked(other)
    parts = attribution.spans or parts_of(sample.input)
    return Subject(sample, attribution, rankings, parts, ways_of(sample.input, token), token or "")
