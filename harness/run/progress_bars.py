"""Progress bars on the terminal, with throughput."""

from __future__ import annotations

import time
from types import TracebackType

from rich import progress
from rich.console import Console

from .progress import Progress


class Bars(Progress):
    """Shows one bar per item on standard error, with requests and tokens per second."""

    def __init__(self) -> None:
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}", markup=False), progress.BarColumn(), progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}", markup=False), progress.TimeRemainingColumn(),
            console=Console(stderr=True),
        )  # fmt: skip
        self._current: progress.TaskID | None = None
        self._started, self._rows, self._tokens = 0.0, 0, 0

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def loading(self, model: str) -> None:
        self._bars.console.print(f"loading {model}", markup=False, highlight=False)

    def item(self, model: str, item: str, done: int, total: int) -> None:
        self._started, self._rows, self._tokens = time.perf_counter(), 0, 0
        self._current = self._bars.add_task(f"{model} {item}", total=total, completed=done, rate="")

    def advance(self, num_samples: int) -> None:
        assert self._current is not None
        self._bars.advance(self._current, num_samples)

    def batch(self, kind: str, rows: int, tokens: int) -> None:
        self._rows += rows
        self._tokens += tokens
        seconds = time.perf_counter() - self._started
        if self._current is not None and seconds > 0:
            self._bars.update(self._current, rate=f"{self._rows / seconds:,.0f} requests/s {self._tokens / seconds:,.0f} tokens/s")
