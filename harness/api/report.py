"""Reports: plugins that render a scorecard as files."""

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
"""The largest length of a file name, in characters."""
_DIGITS = 12


class RunFrames(Protocol):
    """The interface of a run to reports. ``path``: the run folder, which a report only reads."""

    path: Path

    def metrics(self) -> pd.DataFrame:
        """Return a frame with one row per row of the scorecard; `windtunnel.Run.metrics` lists the columns."""
        ...

    def samples(self) -> pd.DataFrame:
        """Return a frame with one row per sample and item; `windtunnel.Run.samples` lists the columns."""
        ...

    def inputs(self) -> pd.DataFrame:
        """Return a frame with one row per sample of each task; `windtunnel.Run.inputs` lists the columns."""
        ...


class Report:
    """Base class of reports. A subclass defines ``suffix`` and `render` for a single text file, or `write` for other output.

    ``suffix``: the name of the file in the run folder, e.g. ``summary.md``.
    """

    suffix: str = ""

    @needed_unless("write")
    def render(self, scorecard: Scorecard, /) -> str:
        """Return the text of the file. Lone surrogates are written as escapes."""
        raise NotImplementedError

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path, /) -> None:
        """Write the report's files. Use `make_file_name` for file names that depend on data.

        ``scorecard``: the results.
        ``run``: frames of metrics and samples, for details that the scorecard does not contain.
        ``folder``: an empty folder; the harness then moves its files into the run folder.
        Raises `ConfigError` if ``suffix`` is not a file name.
        """
        if not self.suffix or self.suffix != make_file_name(self.suffix):
            raise ConfigError(f"the suffix of a report must be a file name such as summary.md, not {self.suffix!r}")
        (folder / self.suffix).write_bytes(self.render(scorecard).encode("utf-8", "backslashreplace"))


def make_file_name(text: str, /) -> str:
    """Return a file name for any text, such as a sample's id: at most 80 letters, digits, ``.``, ``_`` and ``-``, not starting with ``.``.

    A valid name is returned unchanged. Any other text gets a digest as its ending, so that different texts have different names.
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip(".")
    if plain == text and 0 < len(plain) <= _LONGEST:
        return plain
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS]
    return f"{plain[: _LONGEST - _DIGITS - 1] or 'file'}-{digest}"
