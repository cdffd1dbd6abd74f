"""Progress in a notebook cell: one line that is updated in place."""

from __future__ import annotations

import time
from html import escape
from importlib import import_module
from types import TracebackType
from typing import Any

from ..api.numerals import format_count
from .timed_progress import TimedProgress

_REDRAW_S = 0.2
"""The minimum time between two updates, in seconds."""


class NotebookLine(TimedProgress):
    """Shows the current item, its finished samples, the requests and tokens per second, and how long the run still takes."""

    def __init__(self) -> None:
        super().__init__()
        self._display: Any = import_module("IPython.display").display
        self._handle: Any = None
        self._rows = self._tokens = 0
        self._began, self._drawn = time.monotonic(), 0.0

    def __enter__(self) -> NotebookLine:
        self._handle = self._display(_make_bundle("starting"), raw=True, display_id=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        end = "done" if error is None else f"stopped by {type(error).__name__}"
        self._show(f"{format_count(self.number, 'item')} {end} in {time.monotonic() - self._began:,.0f} s")

    def loading(self, model: str) -> None:
        self._show(f"loading {model}")

    def item(self, model: str, item: str, done: int, total: int) -> None:
        super().item(model, item, done, total)
        self._rows = self._tokens = 0
        self._draw()

    def advance(self, num_samples: int) -> None:
        super().advance(num_samples)
        self._draw()

    def batch(self, kind: str, rows: int, tokens: int) -> None:
        self._rows += rows
        self._tokens += tokens
        if time.monotonic() - self._drawn >= _REDRAW_S:
            self._draw()

    def _draw(self) -> None:
        facts = [f"{self.model} {self.name}: {self.done:,} of {self.total:,} samples"]
        if self._rows and (seconds := self.seconds) > 0:
            facts += [f"{self._rows / seconds:,.0f} requests/s", f"{self._tokens / seconds:,.0f} tokens/s"]
        self._show(", ".join([*facts, self.describe_left()]), (self.done, self.total))

    def _show(self, text: str, bar: tuple[int, int] | None = None) -> None:
        self._drawn = time.monotonic()
        self._handle.update(_make_bundle(text, bar), raw=True)


def _make_bundle(text: str, bar: tuple[int, int] | None = None) -> dict[str, str]:
    """Return the MIME bundle of a text, with a progress bar before it in HTML."""
    drawn = f'<progress value="{bar[0]}" max="{bar[1]}"></progress> ' if bar else ""
    return {"text/plain": text, "text/html": f"{drawn}<code>{escape(text)}</code>"}
