"""The time of each item, estimated from the times of its first chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..items.base.planned_item import PlannedItem
from ..store import StoredChunk


@dataclass(frozen=True, slots=True)
class ItemTime:
    """The estimated time of an item.

    seconds: of all its samples. per_sample: of a further sample.
    num_measured: the number of samples that the estimate rests on.
    """

    seconds: float
    per_sample: float
    num_measured: int


def estimate_time(item: PlannedItem, chunks: Sequence[StoredChunk], /) -> ItemTime:
    """Estimate the time of an item from the chunks of its first samples.

    The first chunk counts with its own time. The rest takes as long per position as the further chunks do, or as the first
    one if there is no other.
    """
    positions = item.task.positions
    num, total = sum(chunk.num_samples for chunk in chunks), len(item.samples)
    if not num:
        return ItemTime(0.0, 0.0, 0)
    first, *further = chunks
    measured, start = (further, first.num_samples) if further else (chunks, 0)
    pace = sum(chunk.seconds for chunk in measured) / max(1, sum(positions[start:num]))
    begun = sum(chunk.seconds for chunk in chunks)
    return ItemTime(begun + pace * sum(positions[num:total]), pace * sum(positions[:total]) / total, num)


def share_times(times: Mapping[tuple[str, str], ItemTime], /) -> dict[tuple[str, str], float]:
    """Return the share of each item in the time of its model."""
    totals: dict[str, float] = {}
    for (model, _), time in times.items():
        totals[model] = totals.get(model, 0.0) + time.seconds
    return {(model, item): time.seconds / (totals[model] or 1.0) for (model, item), time in times.items()}
