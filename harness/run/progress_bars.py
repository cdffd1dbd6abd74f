"""Progress on the terminal: a bar for the item in progress, and a line for each finished one."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich import progress
from rich.console import Console
from rich.table import Column

from ..api.visible_text import make_visible
from .timed_progress import TimedProgress

_WIDE = 100
"""The number of columns from which a terminal shows the throughput."""


class Bars(TimedProgress):
    """Shows one line on standard error: the item, its bar and samples, and how long the run still takes.

    The name of the item is cut to the width of the terminal. A wide terminal shows the requests per second as well.
    """

    def __init__(self, describe: Callable[[str, str], str] = lambda model, item: "") -> None:
        super().__init__(describe)
        console = Console(stderr=True)
        self._is_wide = console.width >= _WIDE
        fixed, flexible = Column(no_wrap=True), Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}", markup=False, table_column=flexible),
            progress.BarColumn(console.width // 8, table_column=fixed),
            progress.MofNCompleteColumn(table_column=fixed),
            progress.TextColumn("{task.fields[left]}", markup=False, table_column=fixed),
            console=console, expand=True,
        )  # fmt: skip
        self._current: progress.TaskID | None = None
        self._rows = 0

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def loading(self, model: str) -> None:
        self._say(f"loading {model}")

    def item(self, model: str, item: str, done: int, total: int) -> None:
        super().item(model, item, done, total)
        self._rows = 0
        name = make_visible(f"[{self.number}/{self.num_items}] {item}").replace("\n", "\\n")
        self._current = self._bars.add_task(name, total=total, completed=done, left=self.describe_left())

    def advance(self, num_samples: int) -> None:
        super().advance(num_samples)
        self._update(num_samples)

    def finish(self) -> None:
        end = self.describe_end()
        super().finish()
        if self._current is not None:
            self._bars.remove_task(self._current)
            self._current = None
            self._bars.refresh()
        if end:
            self._say(end)

    def batch(self, kind: str, rows: int, tokens: int) -> None:
        self._rows += rows
        self._update()

    def _update(self, num_samples: int = 0) -> None:
        if self._current is not None:
            rate = f"{self._rows / self.seconds:,.0f} requests/s" if self._is_wide and self._rows and self.seconds > 0 else ""
            self._bars.update(self._current, advance=num_samples, left=", ".join(filter(None, (rate, self.describe_left()))))

    def _say(self, line: str) -> None:
        self._bars.console.print(make_visible(line), markup=False, highlight=False, soft_wrap=True)
