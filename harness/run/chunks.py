"""Chunks: the ranges of an item's samples whose records are stored together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..api.requests import Request
from ..api.responses import Response
from ..items.base.planned_item import PlannedItem
from ..store import Store

CHUNK_WORK = 32_768
"""The work in a chunk, in positions of a task. The suite's ``chunk`` limits its samples."""

_FIRST_PART = 8
"""The first chunk of an attack or a probe has a part of that work, so that its time is soon known."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range of an item's samples. ``start``: the first index. ``end``: the index after the last."""

    number: int
    start: int
    end: int


def split_chunks(item: PlannedItem, most: int, num_looks: int = 0, first: int | None = None, /) -> Iterator[Chunk]:
    """Split an item into chunks. They depend only on the data and the suite, so that a resumed run has the same chunks.

    ``most``: the largest number of samples in a chunk. ``num_looks``: the number of fixed looks, each at the end of a chunk.
    ``first``: the largest number of samples in the first chunk; None for the same.
    """
    looks = _list_looks(len(item.samples), num_looks)
    number = start = work = 0
    room = most if first is None else min(first, most)
    enough = CHUNK_WORK // (_FIRST_PART if item.kind.work_per_position > 1 else 1)
    for end in range(1, len(item.samples) + 1):
        work += item.task.positions[end - 1] * item.kind.work_per_position
        if end - start == room or work >= enough or end == len(item.samples) or end in looks:
            yield Chunk(number, start, end)
            number, start, work, enough, room = number + 1, end, 0, CHUNK_WORK, most


def _list_looks(num_samples: int, num_looks: int) -> Sequence[int]:
    if not num_looks:
        return ()
    from ..statistics.fixed_looks import list_looks

    return list_looks(num_samples, num_looks)


def cut_chunks(chunks: Sequence[Chunk], most: int, /) -> list[Chunk]:
    """Return the chunks without the samples from index ``most``."""
    return [replace(chunk, end=min(chunk.end, most)) for chunk in chunks if chunk.start < most]


def count_available(item: PlannedItem, store: Store, /) -> int:
    """Return the number of samples for which all items that this one reads have records: fewer than planned if one ended early."""
    bases = [base for i in item.rests_on if (base := store.current(i.model.name, i.item)) is not None]
    return min([len(item.samples), *(num for base in bases if (num := store.count(base)) < base.num_samples)])


def list_requests(item: PlannedItem, chunk: Chunk, /) -> Sequence[Request[Response]]:
    """Return the requests of a chunk before it runs."""
    return item.kind.requests_ahead(item, list(item.samples[chunk.start : chunk.end]))
