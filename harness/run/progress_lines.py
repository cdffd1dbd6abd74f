"""Progress as lines of a log, for people who follow a run in CI."""

from __future__ import annotations

import time
from collections.abc import Callable

from .timed_progress import TimedProgress


class Lines(TimedProgress):
    """Says when an item starts, how long the run still takes, and when the item ends.

    The time follows the item's first chunk, and later ones whenever twice as many samples are done.

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
        self._due = 1

    def loading(self, model: str) -> None:
        self._say(f"loading {model}")

    def item(self, model: str, item: str, done: int, total: int) -> None:
        super().item(model, item, done, total)
        self._due = 1
        before = f", {done:,} of them done before" if done else ""
        self._say(self.describe_item(f"{total:,} samples{before}", self.describe_left() if done < total else ""))

    def advance(self, num_samples: int) -> None:
        super().advance(num_samples)
        num_new = self.done - self.done_before
        if self.done < self.total and num_new >= self._due:
            self._due = 2 * num_new
            self._say(self.describe_item(f"{self.done:,} of {self.total:,} samples", self.describe_left()))

    def finish(self) -> None:
        end = self.describe_end()
        super().finish()
        if end:
            self._say(end)
