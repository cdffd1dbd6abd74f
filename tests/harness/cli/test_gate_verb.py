"""``windtunnel gate`` and ``--baseline``: what decides, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from windtunnel.tests.toys import windtunnel, write_suite


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate")
    assert windtunnel("run", write_suite(folder, gates=["notes.accuracy >= 0.1"]), "--out", folder / "before", "-q").code == 0
    assert windtunnel("baseline", folder / "before", "--out", folder / "baseline.json").code == 0
    (folder / "gates.yaml").write_text("- {check: notes.accuracy, drop: 0.6}\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (["notes.accuracy >= 0.99"], 1),
        (["notes.accuracy >= 0.1", "notes.accuracy >= 0.99"], 1),
        (["other.accuracy >= 0.1"], 3),
        (["gates.yaml"], 3),
        (["gates.yaml", "--baseline", "baseline.json"], 0),
        (["gates.yaml", "--baseline", "before"], 0),
        (["{check: notes.accuracy, drop: 0}", "--baseline", "before"], 1),
        (["gates.yaml", "--baseline", "gates.yaml"], 2),
        (["gates.yaml", "--baseline", "before", "--baseline-model", "other"], 2),
        (["notes.accuracy"], 2),
        (["{check: notes.accuracy, drop: many}"], 2),
    ],
)
def test_what_decides(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int) -> None:
    monkeypatch.chdir(folder)
    answer = windtunnel("gate", "before", *arguments)
    assert answer.code == code, answer.out + answer.err
    assert "Traceback" not in answer.err


def test_a_run_keeps_its_baseline(folder: Path) -> None:
    gates: Any = [{"check": "notes.accuracy", "drop": 0.6}]
    suite = write_suite(folder, gates=gates, baseline="baseline.json")
    assert windtunnel("run", suite, "--out", folder / "after", "-q").code == 0
    (folder / "after" / "results.json").unlink()
    (folder / "moved.json").write_bytes((folder / "baseline.json").read_bytes())
    assert windtunnel("report", folder / "after").code == 0
    (gate,) = json.loads((folder / "after" / "results.json").read_text())["gates"]
    assert (gate["outcome"], gate["rows"][0]["n"], gate["rows"][0]["threshold"]) == ("pass", 12, -0.6)
    assert windtunnel("run", write_suite(folder, gates=[]), "--out", folder / "after", "-q").code == 0
    assert not (folder / "after" / "baseline.json").exists()


def test_a_gate_without_its_baseline_is_refused_before_the_run(folder: Path) -> None:
    answer = windtunnel("run", write_suite(folder), "--gate", "{check: notes.accuracy, drop: 0.1}", "--out", folder / "none", "-q")
    assert (answer.code, "there is no baseline to compare with" in answer.err, "--baseline" in answer.err) == (2, True, True)
    passing = "{check: notes.accuracy, drop: 0.1, missing: pass}"
    assert windtunnel("run", write_suite(folder), "--gate", passing, "--out", folder / "none", "-q").code == 0


def test_a_row_about_several_items_says_why_no_gate_on_it_passes(tmp_path: Path) -> None:
    attacks: Any = [{"attack": "swap", "name": "one"}, {"attack": "swap", "name": "two"}]
    tasks: Any = [{"task": "notes", "fail": "score:n1,n2"}]
    gates: Any = ["worst_case(notes).robust_accuracy.value >= 0"]
    answer = windtunnel("run", write_suite(tmp_path, tasks=tasks, attacks=attacks, gates=gates), "--out", tmp_path / "run", "-q", "--rows")
    assert answer.code == 1, answer.out + answer.err
    assert "words/worst_case(notes): 2 of 12 samples have no robust_accuracy, more than 'max_unscored' allows" in answer.out
