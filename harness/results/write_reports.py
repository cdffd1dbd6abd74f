"""Writes the reports of a scorecard into the run folder.

A report writes into a temporary folder; its files are then moved into the run folder, where they replace only its own files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..api.errors import ConfigError, StoreError, WindtunnelError
from ..api.registry import Registry
from ..api.report import Report
from ..api.scorecard import Scorecard
from ..store import FILE_NAME, LOCK_NAME, Store, codec
from ..system.interrupts import is_interrupt
from .baseline_file import FILE_NAME as BASELINE_NAME
from .frames import Run

Reports = Mapping[str, Mapping[str, Any]]
"""The settings of reports by their names."""

_OWNERS = ".reports"
"""The file that records which report has written each file of the run folder, and with which settings."""

_NOT_REPORTS = (FILE_NAME, LOCK_NAME, "suite.yaml", BASELINE_NAME, _OWNERS)
"""The prefixes of the run's own files."""


def write_reports(
    folder: Path, card: Scorecard, /, reports: Reports | None = None, registry: Registry | None = None
) -> list[Path]:  # fmt: skip
    """Write reports and return the paths of their files. Existing files of the reports are replaced.

    ``folder``: the run folder. ``card``: its scorecard.
    ``reports``: the reports; by default those of the suite.
    ``registry``: the report plugins; by default the installed ones, as records load no code (`summarise.load_registry`).
    Raises the first error of a report, after all other reports are written.
    """
    suite = _read_suite(folder)
    known = registry or Registry()
    written: list[Path] = []
    failed: list[WindtunnelError] = []
    for name, settings in (list_suite_reports(suite) if reports is None else reports).items():
        try:
            chosen = settings or list_suite_reports(suite).get(name, {})
            written += _write_report(folder, name, chosen, card, known, suite, folder, partial(_move_files, folder, name, chosen))
        except WindtunnelError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return written


def export_report(
    folder: Path, card: Scorecard, name: str, settings: Mapping[str, Any], out: Path, /, registry: Registry | None = None
) -> list[Path]:  # fmt: skip
    """Write one report to a place outside of the run folder and return the paths of its files. Existing files are replaced.

    ``folder``: the run folder. ``card``: its scorecard. ``name``, ``settings``: the report.
    ``out``: the file; a folder, if it exists as one or the report has several files.
    ``registry``: as for `write_reports`.
    Raises `ConfigError` if ``out`` lies in the run folder, and the errors of the report.
    """
    if out.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{out} lies in the run folder; leave it out to write the report there, or name another place", argument="out")
    out.parent.mkdir(parents=True, exist_ok=True)
    home = out if out.is_dir() else out.parent
    suite = _read_suite(folder)
    chosen = settings or list_suite_reports(suite).get(name, {})
    return _write_report(folder, name, chosen, card, registry or Registry(), suite, home, partial(_move_out, out))


def _read_suite(folder: Path) -> Mapping[str, Any]:
    store = Store.open(folder / FILE_NAME, readonly=True, checked=False)  # the scorecard was made of a checked one
    suite: Mapping[str, Any] = codec.loads(store.suite)
    store.close()
    return suite


def list_written_reports(folder: Path, /) -> Mapping[str, tuple[Mapping[str, Any], Sequence[str]]]:
    """Return the settings and the files of each report that wrote into a run folder, by its name. The folder may say anything."""
    try:
        known = json.loads((folder / _OWNERS).read_text(encoding="utf-8"))
        return {str(name): (dict(entry["settings"]), list(map(str, entry["files"]))) for name, entry in known.items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}


def list_suite_reports(suite: Mapping[str, Any], /) -> Reports:
    """Return the reports of a recorded suite."""
    return {entry["report"]: entry["settings"] for entry in suite["reports"]}


def _write_report(
    folder: Path, name: str, settings: Mapping[str, Any], card: Scorecard, registry: Registry, suite: Mapping[str, Any], home: Path,
    move: Callable[[Path], list[Path]],
) -> list[Path]:  # fmt: skip
    """Write a report into a temporary folder inside ``home``, and ``move`` its files from there."""
    plugin_files = suite["plugin_files"]
    if plugin_files and name not in registry.names("reports"):
        raise ConfigError(
            f"the report {name!r} is not written: records load no code; pass the run's plugin file ({', '.join(plugin_files)})",
            argument="plugins",
        )
    report: Report = registry.make("reports", name, **settings)
    safe = f"the records are safe: 'windtunnel report {folder}' writes it again"
    try:
        with TemporaryDirectory(prefix=".report-", dir=home) as place:
            report.write(card, Run(folder, registry=registry), Path(place))
            return move(Path(place))
    except WindtunnelError as error:
        raise type(error)(f"the report {name!r} cannot be written: {error}; {safe}") from error
    except OSError as error:
        raise StoreError(f"the report {name!r} cannot be written to {folder} ({error.strerror or error}); {safe}") from error
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ConfigError(f"the report {name!r} cannot be made ({type(error).__name__}: {error}); {safe}") from error


def _move_files(folder: Path, report: str, settings: Mapping[str, Any], place: Path) -> list[Path]:
    """Move a report's files into the run folder, and record it as their owner. All are checked before the first is moved."""
    known = list_written_reports(folder)
    owners = {file: name for name, (_, own) in known.items() for file in own}
    files = list_files(place)
    for file in files:
        _check_free(folder, file, report, owners.get(file.as_posix()))
    _, before = known.get(report, ({}, []))
    _write_owners(folder, {**known, report: (settings, sorted({*before, *(file.as_posix() for file in files)}))})
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        # Replace the file instead of overwriting it: a full disk then leaves the old report intact.
        (place / file).replace(folder / file)
    return [folder / file for file in files]


def _move_out(out: Path, place: Path) -> list[Path]:
    """Move a report's only file to ``out``, or its files into the folder ``out``."""
    files = list_files(place)
    if len(files) > 1 and out.is_file():
        raise ConfigError(f"it has {len(files):,} files; name a folder, not the file {out}", argument="out")
    targets = {file: out / file if len(files) > 1 or out.is_dir() else out for file in files}
    for file, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        (place / file).replace(target)
    return list(targets.values())


def list_files(place: Path, /) -> list[Path]:
    """Return the files of a report, relative to its folder. Raises `ConfigError` if there are none."""
    files = sorted(path.relative_to(place) for path in _walk(place))
    if not files:
        raise ConfigError("it has written no file")
    return files


def _walk(place: Path) -> Iterator[Path]:
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


def _write_owners(folder: Path, known: Mapping[str, tuple[Mapping[str, Any], Sequence[str]]]) -> None:
    fresh = folder / f"{_OWNERS}.new"
    written = {name: {"settings": dict(settings), "files": files} for name, (settings, files) in sorted(known.items())}
    fresh.write_text(json.dumps(written, indent=1), encoding="utf-8")
    fresh.replace(folder / _OWNERS)
