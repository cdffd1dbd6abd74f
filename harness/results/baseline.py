"""Baselines: runs that other runs are compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..api.errors import ConfigError
from ..api.registry import Registry
from ..api.scorecard import Scorecard
from ..scorecard.counterparts import select_model
from .baseline_file import FILE_NAME, read_file, write_baseline
from .summarise import summarise


def load_baseline(path: Path, /, registry: Registry | None = None, model: str | None = None) -> Scorecard:
    """Load the scorecard to compare with, whose rows have their evidence, from a run folder or a baseline file.

    ``registry``: the metrics; by default the installed ones. A row of a metric that it lacks has no evidence.
    ``model``: the only model to load; by default all.
    Raises `ConfigError` for a file that is no baseline, is broken, or was written by a newer version, and for an unknown model.
    """
    card = summarise(path, gates=(), registry=registry, keep_evidence=True) if path.is_dir() else read_file(path, registry)
    return select_model(card, model, str(path))


def keep_baseline(card: Scorecard | None, path: Path | None, folder: Path, /, registry: Registry | None = None) -> None:
    """Keep a copy of a run's baseline in its folder, with the texts of its samples if it has any, or remove the former one.

    ``card``: the baseline (`load_baseline`); None for none. ``path``: where it was read. ``folder``: the folder of the new run.
    Raises `ConfigError` if the copy cannot be written.
    """
    copy = folder / FILE_NAME
    try:
        if card is None:
            copy.unlink(missing_ok=True)
        elif path is None or path.resolve() != copy.resolve():
            copy.write_text(write_baseline(card, registry), encoding="ascii")
    except OSError as error:
        raise ConfigError(f"{copy}: the baseline cannot be kept ({error.strerror or error})") from error


def make_baseline(folder: Path, /, registry: Registry | None = None, *, texts: bool = False) -> str:
    """Return the text of the baseline file of a run folder.

    ``registry``: the metrics; by default the installed ones. ``texts``: whether to include the texts of samples.
    """
    card = summarise(folder, gates=(), registry=registry, keep_evidence=True)
    return write_baseline(card if texts else replace(card, samples=()), registry)
