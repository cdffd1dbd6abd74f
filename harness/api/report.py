"""Reports: views of a scorecard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from .scorecard import Scorecard


class RunFrames(Protocol):
    """A run as a report sees it: its tables. `windtunnel.Run` says which columns they have."""

    path: Path

    def metrics(self) -> pd.DataFrame:
        """Return a row per row of the scorecard."""
        ...

    def samples(self) -> pd.DataFrame:
        """Return a row per sample and item."""
        ...


class Report:
    """Base of reports. A subclass gives ``suffix`` and `render` for one file of text, or `write` for anything else.

    ``suffix``: the name of the file in the run folder, e.g. ``summary.md``.
    """

    suffix: str = ""

    def render(self, scorecard: Scorecard, /) -> str:
        """Return the text of the file."""
        raise NotImplementedError

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path, /) -> None:
        """Write the report's files into an empty folder; the harness moves them into the run folder when all are there.

        ``run``: frames of metrics and samples, for what the scorecard does not hold. A name made of data is made safe by `file_name`.
        """
        (folder / self.suffix).write_bytes(self.render(scorecard).encode("utf-8", "backslashreplace"))
