"""What a run reports while it goes on, and the place where that is shown."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext


class Progress:
    """Receives what a run does, in the order in which it does it. This base shows nothing."""

    def loading(self, model: str) -> None:
        """A model's weights are about to be loaded."""

    def item(self, model: str, item: str, done: int, total: int) -> None:
        """An item begins. done: samples that have a record already. total: samples of the item."""

    def advance(self, num_samples: int) -> None:
        """So many more samples of the item have a record."""

    def batch(self, kind: str, rows: int, tokens: int) -> None:
        """A batch was computed. kind: of its requests. rows: how many requests. tokens: without padding."""


def open_progress() -> AbstractContextManager[Progress]:
    """Show progress in the notebook cell or on the terminal that this process writes to; nowhere else, nor in CI."""
    if _is_notebook():
        from .notebook_progress import NotebookLine

        return NotebookLine()
    if os.environ.get("CI") or not sys.stderr.isatty():
        return nullcontext(Progress())
    from .progress_bars import Bars

    return Bars()


def _is_notebook() -> bool:
    """Whether this process is the kernel of a notebook. IPython is imported by the kernel alone, never here."""
    return "ipykernel" in sys.modules and sys.modules["IPython"].get_ipython() is not None
