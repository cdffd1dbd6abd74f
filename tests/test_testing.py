"""Gates in pytest: what an assertion says, and the fixture that runs a suite."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from windtunnel import ConfigError
from windtunnel.harness.api.scorecard import GateResult, Scorecard
from windtunnel.harness.results.baseline import make_baseline
from windtunnel.harness.results.frames import Run
from windtunnel.testing import assert_gates
from windtunnel.tests.scorecards import rich
from windtunnel.tests.toys import run as planned_run
from windtunnel.tests.toys import write_suite

NAME = "distilbert-sst2"


@pytest.fixture
def card() -> Scorecard:
    return replace(rich(), gates=(), manifest={})


def test_gates_that_hold_say_nothing(card: Scorecard) -> None:
    assert_gates(card, f"{NAME}/sst2.accuracy >= 0.88", f"{NAME}/sst2.accuracy.n >= 800")


def test_a_failure_says_value_interval_and_n(card: Scorecard) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_gates(card, f"{NAME}/sst2.accuracy >= 0.95", f"{NAME}/sst2.accuracy >= 0.91", f"{NAME}/sst2.accuracy >= 0.8")
    lines = str(raised.value).splitlines()
    assert lines[0] == "2 of 3 gates do not hold:"
    assert lines[1].startswith(f"  fail: {NAME}/sst2.accuracy >= 0.95 (")
    assert "0.911 [0.892, 0.93" in lines[1].replace("0.8921", "0.892").replace("0.9299", "0.93")
    assert "n = 872" in lines[1]
    assert lines[2].startswith(f"  inconclusive: {NAME}/sst2.accuracy >= 0.91 (")


def test_the_gates_of_the_suite_are_asserted_by_default(card: Scorecard) -> None:
    assert_gates(replace(card, gates=(GateResult("a.b >= 0", "pass", "pass", ""),)))
    with pytest.raises(AssertionError, match=r"no data: a\.b >= 0"):
        assert_gates(replace(card, gates=(GateResult("a.b >= 0", "no_data", "no_data", ""),)))
    with pytest.raises(AssertionError, match="the run is incomplete"):
        assert_gates(replace(card, gates=(GateResult("a.b >= 0", "pass", "pass", ""),), complete=False))


def test_no_gate_and_a_wrong_gate_are_errors(card: Scorecard) -> None:
    with pytest.raises(ConfigError, match="no gate to assert"):
        assert_gates(card)
    with pytest.raises(AssertionError, match=r"missing: .*no item 'sts2'"):
        assert_gates(card, "sts2.accuracy >= 0.9")


def test_a_baseline_may_be_a_file_a_folder_or_a_run(tmp_path: Path) -> None:
    for name, version in (("before", 0), ("after", 1)):
        rows = [[f"r{i}", f"a {('bad', 'good')[i % 2]} lamp {i}", i % 2 if i >= 30 * version else 1 - i % 2] for i in range(60)]
        (tmp_path / "rows.json").write_text(json.dumps(rows))
        planned_run(tmp_path, out=name, tasks=[{"task": "notes", "rows": str(tmp_path / "rows.json")}])
    before, after = tmp_path / "before", tmp_path / "after"
    (tmp_path / "b.json").write_text(make_baseline(before))
    gate = {"check": "notes.accuracy", "drop": 0.1}
    for baseline in (before, str(tmp_path / "b.json"), Run.load(before)):
        assert_gates(before, gate, baseline=baseline)
        with pytest.raises(AssertionError, match=r"no data: notes\.accuracy worse by at most 0\.1 .*different data"):
            assert_gates(after, gate, baseline=baseline)
    with pytest.raises(AssertionError, match=r"missing: .*there is no baseline to compare with"):
        assert_gates(before, gate)
    with pytest.raises(ConfigError, match="pass the run or the path"):
        assert_gates(Run.load(after).scorecard, gate, baseline=before)
    with pytest.raises(ConfigError, match="neither a run folder nor a baseline file"):
        assert_gates(after, gate, baseline=tmp_path / "nowhere.json")


def test_the_fixture_runs_a_suite_once(windtunnel_suite: Callable[..., Run], tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    run = windtunnel_suite(suite)
    assert windtunnel_suite(suite) is run
    assert (run.path / "scorecard.html").is_file()
    for known in (run, run.path, str(run.path), run.scorecard):
        assert_gates(known, "notes.accuracy.value >= 0.5", "notes.accuracy.n >= 12")
