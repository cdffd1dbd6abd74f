"""The command line: thin verbs over the harness. Imports nothing heavy until a verb needs it."""

from __future__ import annotations

import io
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ... import __version__
from ..api.errors import ConfigError
from ..api.registry import GROUPS, Registry
from ..system.installs import TEXT_ATTACKS
from ..system.malloc import keep_freed_memory
from .console import say, say_json
from .environment import prepare
from .leaving import guard, leave
from .suite_options import BaselineModelOption, BaselineOption, PluginFiles, takes_suite
from .work import finish, make_plan, measure_times, print_card, print_power, run_suite, write_page, write_verdict

if TYPE_CHECKING:
    from ..suite.specs import Suite

app = typer.Typer(
    name="windtunnel",
    help="Test a model with benchmarks, attacks and attribution probes; get one scorecard, and gates for CI.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

EXIT_CODES = "Exit codes: 0 pass, 1 a gate failed, 2 your input needs a change, 3 incomplete or no data."

RunPluginOption = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="A plugin file of the run, for its metrics, reports and modalities. Repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print only JSON.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="The run folder. Default: runs/NAME-HASH; the hash depends on the suite.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress: neither bars, nor lines in CI.")]
RowsOption = Annotated[bool, typer.Option("--rows", help="Print all rows, not one headline per item.")]
AllowMismatchOption = Annotated[
    bool, typer.Option("--allow-mismatch", help="Compare runs of different data, prompts or settings on the samples that both have.")
]
HtmlOption = Annotated[Path | None, typer.Option("--html", metavar="PAGE", help="Also write a page to this file.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


@app.callback(invoke_without_command=True, epilog=EXIT_CODES)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command(epilog=EXIT_CODES)
@guard
@takes_suite()
def run(suite: Suite, out: OutOption = None, as_json: JsonOption = False, quiet: QuietOption = False, rows: RowsOption = False) -> int:
    """Run a suite, or resume it where it stopped."""
    return run_suite(suite, out, as_json, quiet, rows)


@app.command(epilog=EXIT_CODES)
@guard
def demo(out: OutOption = None, as_json: JsonOption = False, quiet: QuietOption = False, rows: RowsOption = False) -> int:
    """Run the demo: three tiny models from the package, without a network."""
    from importlib.resources import as_file, files
    from importlib.util import find_spec

    from ..suite.load import load_suite

    prepare(offline=True)
    with as_file(files("windtunnel") / "examples" / "demo" / "suite.yaml") as path:
        suite = load_suite(path)
        if find_spec("textattack") is None:
            say(f"the demo runs without its text attack, which needs: {TEXT_ATTACKS}", err=True)
            attacks = tuple(spec for spec in suite.attacks if spec.attack != "deepwordbug")
            gates = tuple(spec for spec in suite.gates if "deepwordbug" not in spec.check)
            suite = suite.model_copy(update={"attacks": attacks, "gates": gates})
        return run_suite(suite, out or Path("runs/demo"), as_json, quiet, rows)


@app.command(epilog=EXIT_CODES)
@guard
@takes_suite()
def plan(
    suite: Suite,
    as_json: JsonOption = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Load the models, run a few samples of each item, and estimate its time. Keeps nothing.")
    ] = False,
) -> int:
    """Show what would run, its cost, and what cannot run with the reason. Loads no weights without --measure."""
    registry = Registry(suite.plugins)
    planned = make_plan(suite, registry)
    from ..run.baselines import load_planned_baseline
    from .plan_text import plan_exit_code, plan_json, plan_text

    load_planned_baseline(planned, registry)
    times = measure_times(planned, registry, as_json) if measure else {}
    if as_json:
        say_json(json.dumps(plan_json(planned, times), indent=2))
    else:
        say(plan_text(planned, times))
    return plan_exit_code(planned)


@app.command(epilog=EXIT_CODES)
@guard
@takes_suite("suite_file", "model", "tasks", "attacks", "probes", "plugin", "offline", required=("models",))
def prefetch(suite: Suite) -> None:
    """Download models, data sets and word lists of a suite, and list what is missing. With --offline only
    list."""
    from ..plan.prefetch import prefetch as fetched

    num_missing = 0
    for supply in fetched(suite, Registry(suite.plugins)):
        num_missing += bool(supply.problem)
        state = "missing" if supply.problem else "fetched" if supply.was_fetched else "there"
        say(f"{state:8} {supply.name} for {supply.owner}" + (f": {supply.problem}" if supply.problem else ""))
    if num_missing:
        raise ConfigError(f"{num_missing:,} of what {suite.name} needs is missing; the lines above say how to get it")


@app.command(epilog=EXIT_CODES)
@guard
@takes_suite("suite_file", "model", "tasks", "limit", "shuffle", "device", "dtype", "plugin", "offline")
def tune(suite: Suite) -> None:
    """Measure the fastest batch sizes of a suite's models on this machine, and store them for later runs."""
    planned = make_plan(suite)
    planned.require_possible()
    from ..engine.saved_budgets import save_budget
    from ..run.loading import choose_budget, load_model
    from ..run.progress import Progress
    from ..run.tuning import tune as measured
    from .tuning_text import format_tuned

    for adapter, tuned in measured(planned, partial(choose_budget, suite), lambda named: load_model(planned, named, Progress())):
        say(format_tuned(tuned))
        if tuned.num_requests:
            say(f"  saved in {save_budget(adapter, tuned.found)}")


@app.command(epilog=EXIT_CODES)
@guard
def convert(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A checkpoint or PEFT adapter with pickled weights (.bin).")],
    out: Annotated[Path, typer.Argument(metavar="NEW_FOLDER", help="The folder to write; it must not exist, or be empty.")],
) -> None:
    """Copy a checkpoint with pickled weights into a folder with safetensors. Runs no code of the pickle: a file with
    anything but tensors is refused."""
    prepare(offline=True)
    from ..models.checkpoint.pickled import convert as write_safetensors

    for name in write_safetensors(folder, out):
        say(str(out / name))


@app.command("list", epilog=EXIT_CODES)
@guard
def list_plugins(
    group: Annotated[str | None, typer.Argument(metavar=f"[{'|'.join(GROUPS)}]", help="Group of plugins. Default: all.")] = None,
    plugin: PluginFiles = None,
    as_json: JsonOption = False,
) -> None:
    """List the installed plugins."""
    if group is not None and group not in GROUPS:
        from ..api.errors import suggest_name

        raise ConfigError(f"there is no group {group!r}.{suggest_name(group, GROUPS)} The groups are {', '.join(GROUPS)}.")
    registry = Registry(tuple(plugin or ()))
    names = {g: [(e.name, e.origin) for e in registry.entries(g)] for g in ([group] if group else GROUPS)}
    if as_json:
        say_json(json.dumps({g: [{"name": n, "origin": o} for n, o in found] for g, found in names.items()}, indent=2))
        return
    for g, found in names.items():
        say(f"{g}:")
        for name, origin in found:
            say(f"  {name}" + ("" if origin.startswith("windtunnel ") else f"  ({origin})"))


@app.command(epilog=EXIT_CODES)
@guard
def show(
    name: Annotated[str, typer.Argument(help="The name of a plugin, of a row of a scorecard, or of a family of tasks.")],
    plugin: PluginFiles = None,
) -> None:
    """Show a plugin (description, settings, citation), the meaning of a row, or the keys of a family's task files."""
    from .plugin_text import describe

    prepare(offline=False)
    say(describe(Registry(tuple(plugin or ())), name))


@app.command(epilog=EXIT_CODES)
@guard
def report(
    run_folder: RunFolder,
    reports: Annotated[
        list[str] | None,
        typer.Argument(metavar="[REPORT]...", help="Reports such as html, or '{report: html, max_mb: 5}'. Default: the suite's."),
    ] = None,
    plugin: RunPluginOption = None,
    as_json: JsonOption = False,
    rows: RowsOption = False,
) -> int:
    """Write a run's reports again from its records. Needs no model and runs no code that the run names."""
    prepare(offline=True)
    from ..results.summarise import load_registry
    from ..suite.load import read_report

    named = {spec.report: spec.settings for spec in map(read_report, reports or ())}
    return finish(run_folder, as_json, load_registry(run_folder, plugin or ()), rows, named or None)


@app.command(epilog=EXIT_CODES)
@guard
def export(
    run_folder: RunFolder,
    report_name: Annotated[
        str,
        typer.Argument(metavar="FORMAT", help="A report: sarif, csv, {report: html, max_mb: 5}, ... 'windtunnel list reports' lists all."),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="The file, or the folder for several files. Default: the run folder.")] = None,
    plugin: RunPluginOption = None,
) -> None:
    """Write one report of a run, for example in the format of another tool. Needs no model and runs no code that the run names."""
    prepare(offline=True)
    from ..results.summarise import load_registry, summarise
    from ..results.write_reports import export_report, write_reports
    from ..suite.load import read_report

    spec, registry = read_report(report_name), load_registry(run_folder, plugin or ())
    card = summarise(run_folder, registry=registry)
    written = (
        write_reports(run_folder, card, {spec.report: spec.settings}, registry)
        if out is None
        else export_report(run_folder, card, spec.report, spec.settings, out, registry)
    )
    for path in written:
        say(str(path.resolve()))


@app.command(epilog=EXIT_CODES)
@guard
def gate(
    run_folder: RunFolder,
    gates: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[GATES.yaml | CHECK]...",
            help="Files with gates, checks such as 'sst2.accuracy >= 0.85', or '{check: sst2.accuracy, drop: 0.01}'. Default: the suite's.",
        ),
    ] = None,
    baseline: BaselineOption = None,
    baseline_model: BaselineModelOption = None,
    allow_mismatch: AllowMismatchOption = False,
    verdict: Annotated[Path | None, typer.Option("--verdict", help="Also write a record of the verdict to this file.")] = None,
    power: Annotated[bool, typer.Option("--power", help="Simulate instead what each gate can tell with this run's samples.")] = False,
    plugin: RunPluginOption = None,
    as_json: JsonOption = False,
    rows: RowsOption = False,
) -> int:
    """Check a run against gates. Needs no model and runs no code that the run names."""
    prepare(offline=True)
    from ..results.baseline import load_baseline
    from ..results.summarise import load_registry, summarise
    from ..scorecard.gates import exit_code, parse_entry, read_argument

    parsed = [parse_entry(entry) for text in gates or () for entry in read_argument(text)]
    registry = load_registry(run_folder, plugin or ())
    compared = load_baseline(baseline, registry, baseline_model) if baseline is not None else None
    if power:
        return print_power(run_folder, parsed, registry, compared, as_json)
    card = summarise(run_folder, gates=parsed or None, registry=registry, baseline=compared, allow_mismatch=allow_mismatch)
    print_card(card, as_json, rows)
    if verdict is not None:
        write_verdict(card, verdict)
    return exit_code(card.verdict)


@app.command(epilog=EXIT_CODES)
@guard
def baseline(
    run_folder: RunFolder,
    out: Annotated[Path | None, typer.Option("--out", help="The file to write. Default: the standard output.")] = None,
    texts: Annotated[bool, typer.Option("--texts", help="Also write texts and answers of the samples.")] = False,
    plugin: RunPluginOption = None,
) -> None:
    """Print what later runs are compared with: numbers and outcomes per sample, small enough for a repository."""
    prepare(offline=True)
    from ..results.baseline import make_baseline
    from ..results.summarise import load_registry

    text = make_baseline(run_folder, load_registry(run_folder, plugin or ()), texts=texts)
    if out is None:
        say(text.rstrip("\n"))
        return
    try:
        out.write_text(text, encoding="ascii")
    except OSError as error:
        raise ConfigError(f"{out} cannot be written ({error.strerror or error}); choose another file", argument="folder") from error


@app.command(epilog=EXIT_CODES)
@guard
def compare(
    baseline: Annotated[Path, typer.Argument(metavar="BASELINE", help="A run folder or a baseline file.")],
    candidates: Annotated[list[Path], typer.Argument(metavar="CANDIDATE...", help="Run folders or baseline files.")],
    baseline_model: BaselineModelOption = None,
    allow_mismatch: AllowMismatchOption = False,
    html: HtmlOption = None,
    plugin: RunPluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs with a baseline, sample by sample: what is worse, better or not shown to differ, and which answers
    changed. Needs no model."""
    prepare(offline=True)
    from ..results.compare import pair_paths, render_comparisons
    from ..results.comparison import compare_sides
    from .comparison_text import format_comparisons

    registry = Registry(tuple(plugin or ()))
    pairs = pair_paths(baseline, candidates, registry, baseline_model)
    compared = [compare_sides(*pair, allow_mismatch=allow_mismatch, registry=registry) for pair in pairs]
    say(json.dumps([comparison.to_json() for comparison in compared], indent=2) if as_json else format_comparisons(compared))
    if html is not None:
        write_page(html, render_comparisons(compared, pairs, registry), is_silent=as_json)


@app.command(epilog=EXIT_CODES)
@guard
def history(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder with run folders, such as runs.")],
    last: Annotated[int, typer.Option("--last", min=1, help="The largest number of runs of a name.")] = 20,
    html: HtmlOption = None,
    plugin: RunPluginOption = None,
) -> None:
    """Show the last runs of each name as a trend of their headline rows. Needs no model."""
    prepare(offline=True)
    from ..results.history import read_history
    from ..results.history_page import render_history
    from .history_text import format_histories

    histories = read_history(folder, last=last, registry=Registry(tuple(plugin or ())), say=partial(say, err=True))
    say(format_histories(histories))
    if html is not None:
        write_page(html, render_history(histories))


@app.command(epilog=EXIT_CODES)
@guard
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a file of 'windtunnel baseline'.")],
    digest: Annotated[str | None, typer.Option("--digest", help="The digest that the run printed; detects a rewritten folder.")] = None,
    verdict: Annotated[Path | None, typer.Option("--verdict", help="A file of 'windtunnel gate --verdict' to check as well.")] = None,
    baseline: BaselineOption = None,
    baseline_model: BaselineModelOption = None,
    plugin: RunPluginOption = None,
) -> None:
    """Check that a run's records are complete, unchanged and readable, and that its reports show what they give: all numbers and the
    verdict are computed again. Of a baseline file, check that it is unchanged. Needs no model."""
    prepare(offline=True)
    from .checks import format_verified

    say(format_verified(run, digest, plugin or (), verdict, baseline, baseline_model))


def main() -> None:
    """Entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character shows its escape
    keep_freed_memory()
    leave(app)
