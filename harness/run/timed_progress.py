"""What displays of progress share: the item in progress, its time, the rest of the run, and what is said of a finished item."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ..api.numerals import format_count
from .pace import Pace, TimeLeft, Work
from .progress import Progress


class TimedProgress(Progress):
    """Follows the item in progress, and estimates when the run ends. A display derives from it.

    describe: returns the headline of a finished item in words, by model and item; empty without one.
    clock: returns the time in seconds.
    """

    def __init__(
        self, describe: Callable[[str, str], str] = lambda model, item: "", clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._clock = clock
        self.model = self.name = ""
        self.num_items = self.number = 0
        self.done = self.done_before = self.total = 0
        self._describe = describe
        self._started = self._chunk_started = clock()
        self._pace = Pace({})

    @property
    def seconds(self) -> float:
        """The time since the item has started."""
        return self._clock() - self._started

    def plan(self, works: Mapping[tuple[str, str], Work]) -> None:
        self._pace, self.num_items = Pace(works), len(works)

    def item(self, model: str, item: str, done: int, total: int) -> None:
        self.model, self.name, self.done, self.done_before, self.total = model, item, done, done, total
        self.number += 1
        self._started = self._chunk_started = self._clock()
        self._pace.skip((model, item), done)

    def advance(self, num_samples: int) -> None:
        self.done += num_samples
        before, self._chunk_started = self._chunk_started, self._clock()
        self._pace.take((self.model, self.name), num_samples, self._chunk_started - before)

    def finish(self) -> None:
        self._pace.finish((self.model, self.name))

    def describe_left(self) -> str:
        """Return the estimated rest of the run, as `format_left` writes it."""
        return format_left(self._pace.estimate_left((self.model, self.name), self._clock() - self._chunk_started))

    def describe_end(self) -> str:
        """Return a line about the finished item: its samples, time and headline; empty if all its records were there before."""
        if self.done == self.done_before:
            return ""
        part = "" if self.done == self.total else f"{self.done:,} of "
        return self.describe_item(
            f"{part}{self.total:,} samples done in {format_duration(self.seconds)}", self._describe(self.model, self.name)
        )

    def describe_item(self, *facts: str) -> str:
        """Return a line with facts about the item in progress: ``[2/14] MODEL  ITEM: FACT; FACT``."""
        line = f"[{self.number}/{self.num_items}] {self.model}  {self.name}: {'; '.join(filter(None, facts))}"
        return line.replace("\n", "\\n")


def format_left(left: TimeLeft, /) -> str:
    """Format the rest of a run: ``about 4 min left``, ``about 4 min left + 2 items unknown yet``, ``time left unknown yet``."""
    if left.seconds is None:
        return "time left unknown yet"
    return f"about {format_duration(left.seconds)} left" + (
        f" + {format_count(left.num_unknown, 'item')} unknown yet" if left.num_unknown else ""
    )


def format_duration(seconds: float, /) -> str:
    """Format a time with about two digits: ``0.8 s``, ``12 s``, ``4 min``, ``1.5 h``."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
