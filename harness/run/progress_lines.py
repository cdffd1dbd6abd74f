"""Progress as lines of a log, for people who follow a run in CI."""

from __future__ import annotations

import time
from collections.abc import Callable

from .timed_progress import TimedProgress


class Lines(TimedProgress):
    """Says when an item starts, how long the run still takes after the item's first chunk, and when the item ends.

    say: prints a line at once. describe, clock: those of `TimedProgress`.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        describe: Callable[[str, str], str] = lambda model, item: "",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(describe, clock)
        self._say = say
        self._estimated = False

    def loading(self, model: str) -> None:
        self._say(f"loading {model}")

    def item(self, model: str, item: str, done: int, total: int) -> None:
        super().item(model, item, done, total)
        self._estimated = False
        before = f", {done:,} of them done before" if done else ""
        self._say(self.describe_item(f"{total:,} samples{before}", self.describe_left()))

    def advance(self, num_samples: int) -> None:
        super().advance(num_samples)
        if self.done < self.total and not self._estimated:
            self._estimated = True
            self._say(self.describe_item(f"{self.done:,} of {self.total:,} samples", self.describe_left()))

    def finish(self) -> None:
        end = self.describe_end()
        super().finish()
        if end:
            self._say(end)
