"""Reports: views of a scorecard."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .errors import ConfigError
from .plugins import needed_unless

if TYPE_CHECKING:
    import pandas as pd

    from .scorecard import Scorecard

_LONGEST = 80
"""Characters of a file's name."""
_DIGITS = 12


class RunFrames(Protocol):
    """A run as a report sees it. ``path``: its folder, which is for reading."""

    path: Path

    def metrics(self) -> pd.DataFrame:
        """Return a row per row of the scorecard; `windtunnel.Run.metrics` says which columns."""
        ...

    def samples(self) -> pd.DataFrame:
        """Return a row per sample and item; `windtunnel.Run.samples` says which columns."""
        ...


class Report:
    """Base of reports. A subclass gives ``suffix`` and `render` for one file of text, or `write` for anything else.

    ``suffix``: the name of the file in the run folder, e.g. ``summary.md``.
    """

    suffix: str = ""

    @needed_unless("write")
    def render(self, scorecard: Scorecard, /) -> str:
        """Return the text of the file. A lone surrogate in it is written as its escape."""
        raise NotImplementedError

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path, /) -> None:
        """Write the report's files. Make names from data by `make_file_name`.

        ``run``: frames of metrics and samples, for what the scorecard does not hold.
        ``folder``: an empty folder; when all files are there, the harness moves them into the run folder.
        Raises `ConfigError` where ``suffix`` is no name of a file.
        """
        if not self.suffix or self.suffix != make_file_name(self.suffix):
            raise ConfigError(f"the suffix of a report is a file's name such as summary.md, not {self.suffix!r}")
        (folder / self.suffix).write_bytes(self.render(scorecard).encode("utf-8", "backslashreplace"))


def make_file_name(text: str, /) -> str:
    """Make the name of a file from any text, such as a sample's id: at most 80 letters, digits, ``.``, ``_`` and ``-``, no ``.`` first.

    A text that is such a name stays as it is. Any other gets a digest at its end, so that two texts have two names.
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip(".")
    if plain == text and 0 < len(plain) <= _LONGEST:
        return plain
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS]
    return f"{plain[: _LONGEST - _DIGITS - 1] or 'file'}-{digest}"
