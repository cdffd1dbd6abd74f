"""Writes the reports of a scorecard into the run folder.

A report writes into a temporary folder; its files are then moved into the run folder, where they replace only its own files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ..api.errors import ConfigError, StoreError, WindtunnelError
from ..api.registry import Registry
from ..api.report import Report
from ..api.scorecard import Scorecard
from ..store import FILE_NAME, LOCK_NAME, Store, codec
from ..system.interrupts import is_interrupt
from .frames import Run

_OWNERS = ".reports"
"""The file that records which report has written each file of the run folder."""

_NOT_REPORTS = (FILE_NAME, LOCK_NAME, "suite.yaml", _OWNERS)
"""The prefixes of the run's own files."""


def write_reports(folder: Path, card: Scorecard, /, names: Sequence[str] | None = None, registry: Registry | None = None) -> list[Path]:
    """Write reports and return the paths of their files. Existing files of the reports are replaced.

    ``folder``: the run folder. ``card``: its scorecard.
    ``names``: the reports; by default those of the suite.
    ``registry``: the report plugins; by default the installed ones, as records load no code (`summarise.load_registry`).
    Raises the first error of a report, after all other reports are written.
    """
    store = Store.open(folder / FILE_NAME, readonly=True, checked=False)  # the scorecard was made of a checked one
    suite = codec.loads(store.suite)
    store.close()
    known = registry or Registry()
    written: list[Path] = []
    failed: list[WindtunnelError] = []
    for name in names or suite["reports"]:
        try:
            if suite["plugin_files"] and name not in known.names("reports"):
                files = ", ".join(suite["plugin_files"])
                raise ConfigError(
                    f"the report {name!r} is not written: records load no code; pass the run's plugin file ({files})", argument="plugins"
                )
            written += _write_report(folder, known.make("reports", name), name, card, Run(folder, registry=known))
        except WindtunnelError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return written


def _write_report(folder: Path, report: Report, name: str, card: Scorecard, run: Run) -> list[Path]:
    safe = f"the records are safe: 'windtunnel report {folder}' writes it again"
    try:
        with TemporaryDirectory(prefix=".report-", dir=folder) as place:
            report.write(card, run, Path(place))
            return _move_files(folder, name, Path(place))
    except WindtunnelError as error:
        raise type(error)(f"the report {name!r} cannot be written: {error}; {safe}") from error
    except OSError as error:
        raise StoreError(f"the report {name!r} cannot be written to {folder} ({error.strerror or error}); {safe}") from error
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ConfigError(f"the report {name!r} cannot be made ({type(error).__name__}: {error}); {safe}") from error


def _move_files(folder: Path, report: str, place: Path) -> list[Path]:
    """Move a report's files into the run folder, and record it as their owner. All are checked before the first is moved."""
    owners = _read_owners(folder)
    files = sorted(path.relative_to(place) for path in _list_files(place))
    if not files:
        raise ConfigError("it has written no file")
    for file in files:
        _check_free(folder, file, report, owners.get(file.as_posix()))
    _write_owners(folder, owners | {file.as_posix(): report for file in files})
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        # Replace the file instead of overwriting it: a full disk then leaves the old report intact.
        (place / file).replace(folder / file)
    return [folder / file for file in files]


def _list_files(place: Path) -> Iterator[Path]:
    for path in place.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ConfigError(f"{path.relative_to(place)} is not a regular file")
        if path.is_file():
            yield path


def _check_free(folder: Path, file: Path, report: str, owner: str | None) -> None:
    """Raise `ConfigError` if a file would replace one of another owner, or lie outside of the run folder."""
    if file.parts[0].casefold().startswith(_NOT_REPORTS):
        raise ConfigError(f"{file} is reserved for the run's own files; rename the report's file")
    if owner not in (None, report):
        raise ConfigError(f"{file} is a file of the report {owner!r}; rename one of them")
    target = folder / file
    if owner is None and os.path.lexists(target):
        raise ConfigError(f"{target} exists and was not written by this report; move it away")
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{target.parent} leads out of the run folder; move it away")


def _read_owners(folder: Path) -> dict[str, str]:
    try:
        known = json.loads((folder / _OWNERS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(file): str(report) for file, report in known.items()} if isinstance(known, dict) else {}


def _write_owners(folder: Path, owners: dict[str, str]) -> None:
    fresh = folder / f"{_OWNERS}.new"
    fresh.write_text(json.dumps(dict(sorted(owners.items())), indent=1), encoding="utf-8")
    fresh.replace(folder / _OWNERS)
