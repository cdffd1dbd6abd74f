"""Gates in pytest: a test asserts that a model is good enough.

    from windtunnel.testing import assert_gates

    def test_mood(windtunnel_suite):
        assert_gates(windtunnel_suite("my_suite.yaml"), "tickets.accuracy >= 0.9", "tickets.accuracy.n >= 200")

    def test_mood_is_as_good_as_released(windtunnel_suite):
        assert_gates(windtunnel_suite("my_suite.yaml"), {"check": "tickets.accuracy", "drop": 0.02}, baseline="windtunnel-baseline.json")

pytest finds the fixture by the entry point ``pytest11``. It costs nothing where no test uses it: the harness is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .harness.api.scorecard import GateResult, Scorecard
    from .harness.results.frames import Run
    from .harness.scorecard.gates.entries import Entry


def assert_gates(run: Run | Scorecard | str | Path, *gates: Entry, baseline: Run | str | Path | None = None) -> None:
    """Assert that a run passes gates.

    run: a run of `windtunnel.evaluate` or `windtunnel.load`, its scorecard, or the path of its folder.
    gates: checks such as ``"sst2.accuracy >= 0.9"``, or mappings such as ``{"check": "sst2.accuracy", "drop": 0.01}``; without any, those
        of the run's suite.
    baseline: what gates with ``drop`` compare with: a run, a run folder or a baseline file; by default the one that the run keeps.
    Raises `AssertionError` that names each gate with its value, interval and number of samples, if one fails, is inconclusive, is missing
    or has no data, or if the run is incomplete; `ConfigError` if there is no gate, a gate is none or the baseline cannot be read.
    """
    __tracebackhide__ = True
    from .harness.api.errors import ConfigError
    from .harness.scorecard.gates import decide_verdict, exit_code, rate_gate

    card = _check(run, gates, baseline)
    if not card.gates:
        raise ConfigError("there is no gate to assert; pass one, such as assert_gates(run, 'sst2.accuracy >= 0.9')")
    if not exit_code(decide_verdict(card.gates, complete=card.complete, mostly_failed=card.mostly_failed)):
        return
    missed = [result for result in card.gates if rate_gate(result) == "failed"]
    lines = [*map(_describe, missed), *([] if card.complete else ["the run is incomplete: some planned samples have no record"])]
    lines += ["more than half of the samples of an item failed, so that its numbers decide nothing"] if card.mostly_failed else []
    raise AssertionError(f"{len(missed)} of {len(card.gates)} gates do not hold:\n" + "\n".join(f"  {line}" for line in lines))


def _check(run: Run | Scorecard | str | Path, gates: Sequence[Entry], baseline: Run | str | Path | None) -> Scorecard:
    """Return the scorecard of a run with these gates, by default those of its suite."""
    from .harness.api.errors import ConfigError
    from .harness.api.scorecard import Scorecard
    from .harness.results.frames import Run
    from .harness.scorecard.gates import check_gates, parse_entry

    if isinstance(run, Scorecard):
        if baseline is not None:
            raise ConfigError("a scorecard does not hold its samples, which a comparison pairs; pass the run or the path of its folder")
        return replace(run, gates=check_gates(map(parse_entry, gates), run)) if gates else run
    known = run if isinstance(run, Run) else Run.load(run)
    return known.check(*gates, baseline=baseline) if gates or baseline is not None else known.scorecard


def _describe(result: GateResult) -> str:
    from .harness.api.visible_text import make_visible

    return make_visible(f"{result.outcome.replace('_', ' ')}: {result.gate} ({result.detail})")


@pytest.fixture(scope="session")
def windtunnel_suite(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """A function that runs a suite file and returns the `Run`. Within a session it runs each suite once.

    Its arguments: the path of the suite file, and ``folder``, the run folder, by default a temporary one; a folder that already holds
    the run is resumed.
    """
    known: dict[tuple[Path, Path | None], Run] = {}

    def run_suite(suite_file: str | Path, folder: str | Path | None = None) -> Run:
        path, place = Path(suite_file).resolve(), Path(folder).resolve() if folder is not None else None
        if (path, place) not in known:
            known[path, place] = _run_suite(path, place or tmp_path_factory.mktemp("windtunnel") / "run")
        return known[path, place]

    return run_suite


def _run_suite(path: Path, folder: Path) -> Run:
    """Run a suite file into a folder, and write its reports."""
    from .harness.api.registry import Registry
    from .harness.plan.planner import plan
    from .harness.results.frames import Run
    from .harness.results.write_reports import write_reports
    from .harness.run.runner import run_plan
    from .harness.suite.load import load_suite

    suite = load_suite(path)
    registry = Registry(suite.plugins)
    planned = plan(suite, registry)
    planned.require_possible()
    run_plan(planned, folder)
    run = Run(folder, [str(file) for file in suite.plugins], registry)
    write_reports(folder, run.scorecard, registry=registry)
    return run
