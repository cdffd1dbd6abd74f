"""The choice of a display for the progress of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from .progress import Progress


def open_progress(
    otherwise: Progress | None = None, describe: Callable[[str, str], str] = lambda model, item: ""
) -> AbstractContextManager[Progress]:
    """Return the display for a notebook cell or a terminal.

    otherwise: receives the events elsewhere, and in CI; by default nothing is shown there.
    describe: returns the headline of a finished item in words, by model and item; empty without one.
    """
    if _is_notebook():
        from .notebook_progress import NotebookLine

        return NotebookLine()
    if os.environ.get("CI") or not sys.stderr.isatty():
        return nullcontext(otherwise or Progress())
    from .progress_bars import Bars

    return Bars(describe)


def _is_notebook() -> bool:
    """Tell whether this process is a notebook kernel, without importing IPython."""
    return "ipykernel" in sys.modules and sys.modules["IPython"].get_ipython() is not None
