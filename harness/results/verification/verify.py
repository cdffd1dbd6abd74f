"""Recomputes all numbers and the verdict of a run from its records, and compares its reports with them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...api.errors import ConfigError, UserError, describe_error, ends_run
from ...api.registry import Registry
from ...api.report import Report
from ...api.scorecard import Scorecard
from ...scorecard.gates import Gate, parse_entry
from ...store import FILE_NAME, Store, codec
from ..frames import Run
from ..summarise import summarise
from ..write_reports import list_files, list_suite_reports, list_written_reports
from .files import compare_file, parse_json, prefix, read_text

_LARGEST_RECORD = 2**26
_RECORD = "verdict"
"""The name of the report that is a record of the verdict."""


@dataclass
class Verification:
    """What a comparison of a run's files with its records found.

    ``same``: the files that are what the records give. ``differences``: a sentence each. ``notes``: what was not compared.
    """

    same: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, path: Path, expected: bytes, /) -> None:
        """Compare a file. ``name``: its name in sentences. ``expected``: the content that the records give."""
        differences, notes = compare_file(path, expected)
        self.differences += prefix(name, differences)
        self.notes += prefix(name, notes)
        self.same += [] if differences else [name]


def verify_reports(folder: Path, registry: Registry, plugins: Sequence[str] = (), /) -> Verification:
    """Compare the reports of a run folder with what its records give.

    ``registry``: the metrics and reports (`load_registry`). ``plugins``: the plugin files that it was made with.
    Raises the errors of `summarise`.
    """
    suite = _read_suite(folder)
    found = Verification()
    if len(plugins) < len(suite["plugin_files"]):
        named = ", ".join(suite["plugin_files"])
        found.notes.append(
            f"the reports are not compared, because records load no code: give the run's plugin files with --plugin ({named})"
        )
        return found
    card, run = summarise(folder, registry=registry), Run(folder, registry=registry)
    wanted, written = list_suite_reports(suite), list_written_reports(folder)
    for name in dict.fromkeys([*wanted, *registry.names("reports")]):
        settings, files = written.get(name, ({}, []))
        try:
            report = _make_report(name, registry, settings, wanted.get(name, {}))
            if not any(map(os.path.lexists, (folder / file for file in filter(None, [report.suffix, *files])))):
                found.notes += [f"{report.suffix or f'the report {name!r}'} is not written"] if name in wanted else []
                continue
            with TemporaryDirectory() as place:
                report.write(card, run, Path(place))
                _compare_files(found, folder, Path(place), files)
        except BaseException as error:
            if ends_run(error):
                raise
            found.notes.append(f"the report {name!r} is not compared: it cannot be made ({describe_error(error)})")
    return found


def _make_report(name: str, registry: Registry, settings: Mapping[str, Any], planned: Mapping[str, Any]) -> Report:
    """Make a report with the settings that the folder names, which may be anything, or else with those of the suite."""
    try:
        report: Report = registry.make("reports", name, **(settings or planned))
    except UserError:
        report = registry.make("reports", name, **planned)
    return report


def _compare_files(found: Verification, folder: Path, place: Path, files: Iterable[str]) -> None:
    """Compare the files of a report that was made again. ``place``: those. ``files``: the names of those in the run folder."""
    made = [file.as_posix() for file in list_files(place)]
    for name in made:
        if os.path.lexists(folder / name):
            found.add(name, folder / name, (place / name).read_bytes())
        else:
            found.notes.append(f"{name} is not written")
    found.differences += [f"{name}: the records give no such file" for name in files if name not in made and os.path.lexists(folder / name)]


def verify_record(folder: Path, record: Path, registry: Registry, baseline: Scorecard | None = None, /) -> Verification:
    """Compare a record of a verdict about a run, which may be about other gates than the suite's, with what its records give.

    ``record``: a file of ``windtunnel gate --verdict``. ``baseline``: what its gates compare with; by default what the run keeps.
    Raises `ConfigError` if the file holds no gates, and the errors of `summarise`.
    """
    gates = _read_gates(record)
    card = summarise(folder, gates=gates, registry=registry, baseline=baseline)
    found = Verification()
    found.add(str(record), record, registry.make("reports", _RECORD).render(card).encode("utf-8", "backslashreplace"))
    return found


def _read_suite(folder: Path) -> Any:
    store = Store.open(folder / FILE_NAME, readonly=True, checked=False)  # the scorecard is made of a checked one
    try:
        return codec.loads(store.suite)
    finally:
        store.close()


def _read_gates(record: Path) -> list[Gate]:
    """Return the gates that a record of a verdict is about. Raises `ConfigError`."""
    try:
        statement = parse_json(read_text(record, most_bytes=_LARGEST_RECORD))
        (gates,) = (entry["annotations"]["gates"] for entry in statement["predicate"]["configuration"] if entry["name"] == "gates")
        return [parse_entry(entry) for entry in gates]
    except (ConfigError, LookupError, TypeError, ValueError, RecursionError, AttributeError) as error:
        raise ConfigError(f"{record}: this is no record of a verdict ({describe_error(error)}); 'windtunnel gate' writes one") from error
