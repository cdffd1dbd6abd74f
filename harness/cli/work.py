"""What the verbs share: they plan, run and report suites, and print results."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..api.errors import ConfigError, IncompleteRun
from ..api.registry import Registry
from .console import say, say_json

if TYPE_CHECKING:
    from ..api.scorecard import Scorecard
    from ..plan.types import Plan
    from ..results.write_reports import Reports
    from ..run.item_times import ItemTime
    from ..scorecard.gates import Gate
    from ..suite.specs import Suite


def make_plan(suite: Suite, registry: Registry | None = None) -> Plan:
    """Plan a suite. ``registry``: by default the suite's plugins."""
    from ..plan.planner import plan

    return plan(suite, registry or Registry(suite.plugins))


def measure_times(planned: Plan, registry: Registry, quiet: bool) -> dict[tuple[str, str], ItemTime]:
    """Measure a plan, and show the progress. ``quiet``: show none. Returns the times by model and item."""
    from ..run.measured_plan import measure_plan
    from ..run.progress import Progress
    from ..run.progress_display import open_progress
    from ..run.progress_lines import Lines

    with nullcontext(Progress()) if quiet else open_progress(Lines(partial(say, err=True))) as progress:
        return measure_plan(planned, registry, progress)


def run_suite(suite: Suite, out: Path | None, as_json: bool, quiet: bool, rows: bool) -> int:
    """Run a suite or resume it, and print the outcome. Returns the exit code.

    ``out``: the run folder; None for one named for the suite. ``as_json``, ``quiet``, ``rows``: options of the verb.
    """
    from ..run.progress import Progress
    from ..run.progress_display import open_progress
    from ..run.progress_lines import Lines
    from ..run.runner import run_plan
    from ..system.interrupts import stop_on_interrupt
    from .scorecard_text import describe_headline

    registry = Registry(suite.plugins)
    planned = make_plan(suite, registry)
    planned.require_possible()
    folder = out or Path("runs") / suite.folder_name(Path.cwd())
    describe = partial(describe_headline, folder, registry)
    shown = nullcontext(Progress()) if quiet or as_json else open_progress(Lines(partial(say, err=True), describe), describe)
    if not as_json:
        for skip in planned.skipped:
            say(f"skipped: {skip.item} on {skip.model}: {skip.reason}", err=True)
    try:
        with stop_on_interrupt(_say_at_once) as should_stop, shown as progress:
            run_plan(planned, folder, progress=progress, should_stop=should_stop, say=partial(say, err=True), registry=registry)
    except IncompleteRun as error:
        raise IncompleteRun(f"{error}. {_resume(folder)}") from error
    except KeyboardInterrupt:
        raise IncompleteRun(f"stopped at once; the chunk under way is lost, all before it are kept. {_resume(folder)}") from None
    return finish(folder, as_json, registry, rows)


def _resume(folder: Path) -> str:
    return f"Give the same command again to go on; records so far are in {folder}"


def finish(folder: Path, as_json: bool, registry: Registry, rows: bool, reports: Reports | None = None) -> int:
    """Write the reports of a run folder, by default those of its suite, and print the outcome. Returns the exit code."""
    from ..results.summarise import summarise
    from ..results.write_reports import write_reports
    from ..scorecard.gates import exit_code
    from .scorecard_text import format_files

    card = summarise(folder, registry=registry)
    print_card(card, as_json, rows)  # first, because a report may fail
    written = write_reports(folder, card, reports, registry)
    if not as_json:
        say(format_files(written))
    return exit_code(card.verdict)


def write_verdict(card: Scorecard, path: Path) -> None:
    """Write the record of a scorecard's verdict, as ``verdict.json``, to a file."""
    try:
        path.write_text(Registry().make("reports", "verdict").render(card), encoding="ascii")
    except OSError as error:
        raise ConfigError(f"{path}: the verdict cannot be written ({error.strerror or error})") from error


def print_power(
    folder: Path, gates: Sequence[Gate], registry: Registry, baseline: Scorecard | None, as_json: bool
) -> int:  # fmt: skip
    """Print what gates can tell; 1 if one of them fails too often although nothing changed."""
    from ..results.gate_power import simulate_run
    from .power_text import format_power, list_power

    found = simulate_run(folder, gates, registry, baseline)
    say(json.dumps(list_power(found), indent=2) if as_json else format_power(found))
    return int(any(one.power is not None and one.power.exceeds_promise for one in found))


def print_card(card: Scorecard, as_json: bool, rows: bool) -> None:
    """Print a scorecard. ``as_json``: as results.json. ``rows``: all rows."""
    from .scorecard_text import format_scorecard

    if as_json:
        # For machines there is one shape: that of results.json.
        say_json(Registry().make("reports", "json").render(card).rstrip("\n"))
    else:
        say(format_scorecard(card, rows=rows))


def write_page(path: Path, text: str, *, is_silent: bool = False) -> None:
    """Write a page and say where it is. ``is_silent``: say nothing. Raises `ConfigError` if it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"{path}: the page cannot be written ({error.strerror or error})") from error
    if not is_silent:
        say(f"page: {path.resolve()}")


def _say_at_once(text: str) -> None:
    """From a signal handler, which may have interrupted a write to the very stream."""
    os.write(2, f"\n{text}\n".encode())
