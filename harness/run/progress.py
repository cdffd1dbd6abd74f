"""The progress events of a run, and the choice of their display."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext


class Progress:
    """Receives the events of a run in order. This base class ignores them."""

    def loading(self, model: str) -> None:
        """A model's weights are about to be loaded."""

    def item(self, model: str, item: str, done: int, total: int) -> None:
        """An item starts. done: the number of samples with a record. total: the number of samples of the item."""

    def advance(self, num_samples: int) -> None:
        """Further samples of the item have records. num_samples: their number."""

    def batch(self, kind: str, rows: int, tokens: int) -> None:
        """A batch was computed. kind: the kind of its requests. rows: their number. tokens: the number of tokens without padding."""


def open_progress() -> AbstractContextManager[Progress]:
    """Return the display for a notebook cell or a terminal; elsewhere, and in CI, progress is not shown."""
    if _is_notebook():
        from .notebook_progress import NotebookLine

        return NotebookLine()
    if os.environ.get("CI") or not sys.stderr.isatty():
        return nullcontext(Progress())
    from .progress_bars import Bars

    return Bars()


def _is_notebook() -> bool:
    """Tell whether this process is a notebook kernel, without importing IPython."""
    return "ipykernel" in sys.modules and sys.modules["IPython"].get_ipython() is not None
