"""The time of each item of a plan, estimated from its first chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..items.base.planned_item import PlannedItem
from ..store import StoredChunk
from .chunks import split_chunks
from .pace import Key


@dataclass(frozen=True, slots=True)
class ItemTime:
    """The estimated time of an item. seconds: of all its samples. num_measured: the number of samples that the estimate rests on."""

    seconds: float
    num_measured: int


def estimate_time(item: PlannedItem, measured: Sequence[StoredChunk], most: int, *, on_cpu: bool) -> ItemTime | None:
    """Estimate the time of an item from its first chunks; None without one.

    The first also loads libraries and counts with its own time; the further ones give the seconds per position. A chunk of generated
    answers has as many passes as its longest answer, however many samples it has: there, the first chunk is a small one, and tells what
    a chunk costs by itself.

    measured: the first chunks. most: the largest number of samples in a chunk of the run.
    on_cpu: whether the model runs on a CPU, whose time in use tells more than the clock about the ratio of two chunks.
    """
    if not measured:
        return None
    num, total = sum(chunk.num_samples for chunk in measured), len(item.samples)
    if num == total:
        return ItemTime(sum(chunk.times.seconds for chunk in measured), num)
    first, *further = measured
    start = first.num_samples if further else 0
    positions, seconds = item.task.positions, sum(chunk.times.seconds for chunk in further or measured)
    is_generated = "generate" in item.task.requires and item.num_requests is not None
    begin = 0 if is_generated else start
    ratio = sum(positions[begin:total]) / max(1, sum(positions[start:num]))
    fixed = _find_fixed_share(first, further[0], positions, on_cpu) if further and is_generated else 0.0
    num_chunks = sum(1 for _ in split_chunks(item, most))
    spent = first.times.seconds if begin else 0.0
    return ItemTime(spent + seconds * (fixed * num_chunks / max(1, len(further)) + (1 - fixed) * ratio), num)


def _find_fixed_share(first: StoredChunk, second: StoredChunk, positions: Sequence[int], on_cpu: bool) -> float:
    """Return the share of the second chunk's time that does not depend on its positions, by the line through both chunks.

    The time of the first counts as if it had had as many passes: the answers of a few samples are often short.
    """
    few = sum(positions[: first.num_samples])
    many = sum(positions[first.num_samples : first.num_samples + second.num_samples])
    short, long = (chunk.times.cpu_seconds if on_cpu else chunk.times.seconds for chunk in (first, second))
    if many <= few or long <= 0:
        return 0.0
    passes, most_passes = (chunk.counters.get("forward_passes", 0) for chunk in (first, second))
    if passes and most_passes:
        short *= most_passes / passes
    slope = (long - short) / (many - few)
    return 1 - min(1.0, max(0.0, slope * many / long))


def share_times(times: Mapping[Key, ItemTime]) -> dict[Key, float]:
    """Return the share of each item in the time of its model."""
    totals: dict[str, float] = {}
    for (model, _), time in times.items():
        totals[model] = totals.get(model, 0.0) + time.seconds
    return {(model, item): time.seconds / (totals[model] or 1.0) for (model, item), time in times.items()}
