"""How long items take, by what their chunks and those of items like them took."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ..items.base.planned_item import PlannedItem

Key = tuple[str, str]
"""The names of a model and of one of its items."""


@dataclass(frozen=True, slots=True)
class Work:
    """The counted work of an item.

    like: equal for items that take about as long per position on the same model (`ItemKind.find_likeness`).
    positions: the number of positions of each sample, of at least as many as the item has.
    num: the number of samples.
    """

    like: Hashable
    positions: Sequence[int]
    num: int

    def count(self, start: int, end: int) -> int:
        """Return the number of positions from one sample to another."""
        return sum(self.positions[start : min(end, self.num)])


def list_works(items: Sequence[PlannedItem], /) -> dict[Key, Work]:
    """Return the work of each item."""
    return {(item.model.name, item.item): Work(item.kind.find_likeness(item), item.task.positions, len(item.samples)) for item in items}


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """The time that a run still takes.

    seconds: that of the items whose pace is known; None if it is known of none.
    num_unknown: the number of the other items.
    """

    seconds: float | None
    num_unknown: int


@dataclass(slots=True)
class _Measured:
    """What the chunks of an item took. The first one is apart: it also loads libraries."""

    first_positions: int
    first_seconds: float
    positions: int = 0
    seconds: float = 0.0

    @property
    def pace(self) -> float:
        """The seconds per position of the chunks after the first; of the first if there is no other."""
        return self.seconds / self.positions if self.positions else self.first_seconds / max(1, self.first_positions)


class Pace:
    """Estimates times as positions times the seconds per position that were measured.

    An item's own chunks count. Before it has any, those of the latest item like it on the same model do; or on another model, times
    the ratio of the two models in what both have done. Without such an item, the time is unknown.
    """

    def __init__(self, works: Mapping[Key, Work]) -> None:
        self._works = dict(works)
        self._next = dict.fromkeys(works, 0)
        self._left = {key: work.count(0, work.num) for key, work in works.items()}
        self._measured: dict[Key, _Measured] = {}

    def skip(self, key: Key, num: int) -> int:
        """Leave out the next samples of an item, which have records now, and return their positions."""
        start, end = self._next[key], self._next[key] + num
        positions = self._works[key].count(start, end)
        self._next[key] = end
        self._left[key] -= positions
        return positions

    def take(self, key: Key, num: int, seconds: float) -> None:
        """Count a chunk. num: its number of samples, the item's next. seconds: its time."""
        positions = self.skip(key, num)
        if (known := self._measured.get(key)) is None:
            self._measured[key] = _Measured(positions, seconds)
        else:
            known.positions += positions
            known.seconds += seconds

    def finish(self, key: Key) -> None:
        """Count nothing more of an item."""
        self._left[key] = 0

    def estimate(self, key: Key) -> float | None:
        """Estimate the seconds that an item still takes; None if nothing tells them."""
        if not self._left[key]:
            return 0.0
        pace = self._find_pace(key)
        return None if pace is None else self._left[key] * pace

    def estimate_left(self, current: Key, elapsed: float) -> TimeLeft:
        """Estimate the rest of the run. current: the item in progress. elapsed: the seconds since its last chunk."""
        times = {key: self.estimate(key) for key in self._works}
        known = {key: seconds for key, seconds in times.items() if seconds is not None}
        if known.get(current):
            known[current] = max(0.0, known[current] - elapsed)
        is_known = any(self._left[key] for key in known) or len(known) == len(times)
        return TimeLeft(sum(known.values()) if is_known else None, len(times) - len(known))

    def _find_pace(self, key: Key) -> float | None:
        if key in self._measured:
            return self._measured[key].pace
        model, like = key[0], self._works[key].like
        paces = {(name, self._works[name, item].like): measured.pace for (name, item), measured in self._measured.items()}
        if (model, like) in paces:
            return paces[model, like]
        for (other, done), pace in paces.items():
            ratios = [paces[model, both] / paces[m, both] for m, both in paces if m == other and (model, both) in paces and paces[m, both]]
            if done == like and ratios:
                return pace * median(ratios)
        return None
