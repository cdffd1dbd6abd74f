"""The time of each item of a plan, estimated from its first chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..store import StoredChunk
from .pace import Key, Pace, Work


@dataclass(frozen=True, slots=True)
class ItemTime:
    """The estimated time of an item. seconds: of all its samples. num_measured: the number of samples that the estimate rests on."""

    seconds: float
    num_measured: int


def estimate_times(works: Mapping[Key, Work], chunks: Mapping[Key, Sequence[StoredChunk]], /) -> dict[Key, ItemTime]:
    """Estimate the time of each item: that of its first chunks, and the rest at their pace.

    works: the items. chunks: the first chunks of each; an item without any is left out.
    """
    pace = Pace(works)
    times = {}
    for key, measured in chunks.items():
        for chunk in measured:
            pace.take(key, chunk.num_samples, chunk.times.seconds)
        left = pace.estimate(key)
        if measured and left is not None:
            times[key] = ItemTime(sum(chunk.times.seconds for chunk in measured) + left, sum(chunk.num_samples for chunk in measured))
    return times


def share_times(times: Mapping[Key, ItemTime]) -> dict[Key, float]:
    """Return the share of each item in the time of its model."""
    totals: dict[str, float] = {}
    for (model, _), time in times.items():
        totals[model] = totals.get(model, 0.0) + time.seconds
    return {(model, item): time.seconds / (totals[model] or 1.0) for (model, item), time in times.items()}
