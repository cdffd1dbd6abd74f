"""Progress bars on the terminal, with throughput."""

from __future__ import annotations

from types import TracebackType

from rich import progress
from rich.console import Console

from .timed_progress import TimedProgress


class Bars(TimedProgress):
    """Shows one bar per item on standard error, with requests and tokens per second, and how long the run still takes."""

    def __init__(self) -> None:
        super().__init__()
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}", markup=False), progress.BarColumn(), progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}", markup=False), progress.TextColumn("{task.fields[left]}", markup=False),
            console=Console(stderr=True),
        )  # fmt: skip
        self._current: progress.TaskID | None = None
        self._rows = self._tokens = 0

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def loading(self, model: str) -> None:
        self._bars.console.print(f"loading {model}", markup=False, highlight=False)

    def item(self, model: str, item: str, done: int, total: int) -> None:
        super().item(model, item, done, total)
        self._rows = self._tokens = 0
        self._current = self._bars.add_task(f"{model} {item}", total=total, completed=done, rate="", left=self.describe_left())

    def advance(self, num_samples: int) -> None:
        super().advance(num_samples)
        assert self._current is not None
        self._bars.update(self._current, advance=num_samples, left=self.describe_left())

    def finish(self) -> None:
        super().finish()
        if self._current is not None:
            self._bars.update(self._current, left="")

    def batch(self, kind: str, rows: int, tokens: int) -> None:
        self._rows += rows
        self._tokens += tokens
        seconds = self.seconds
        if self._current is not None and seconds > 0:
            self._bars.update(self._current, rate=f"{self._rows / seconds:,.0f} requests/s {self._tokens / seconds:,.0f} tokens/s")
