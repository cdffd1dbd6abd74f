"""Progress as lines of a log, for people who follow a run in CI."""

from __future__ import annotations

from collections.abc import Callable

from .timed_progress import TimedProgress, format_duration


class Lines(TimedProgress):
    """Says when an item starts, how long the run still takes after the item's first chunk, and when the item ends.

    say: prints a line at once.
    describe: returns the headline of a finished item in words, by model and item; empty without one.
    """

    def __init__(self, say: Callable[[str], None], describe: Callable[[str, str], str] = lambda model, item: "") -> None:
        super().__init__()
        self._say, self._describe = say, describe
        self._estimated = False

    def loading(self, model: str) -> None:
        self._say(f"loading {model}")

    def item(self, model: str, item: str, done: int, total: int) -> None:
        super().item(model, item, done, total)
        self._estimated = False
        self._say_about(f"{total:,} samples" + (f", {done:,} of them done before" if done else ""), self.describe_left())

    def advance(self, num_samples: int) -> None:
        super().advance(num_samples)
        if self.done < self.total and not self._estimated:
            self._estimated = True
            self._say_about(f"{self.done:,} of {self.total:,} samples", self.describe_left())

    def finish(self) -> None:
        took = format_duration(self.seconds)
        super().finish()
        if self.done > self.done_before:
            num = f"{self.total:,}" if self.done == self.total else f"{self.done:,} of {self.total:,}"
            self._say_about(f"{num} samples done in {took}", self._describe(self.model, self.name))

    def _say_about(self, *facts: str) -> None:
        """Print facts about the item in one line."""
        line = f"[{self.number}/{self.num_items}] {self.model}  {self.name}: {'; '.join(filter(None, facts))}"
        self._say(line.replace("\n", "\\n"))
