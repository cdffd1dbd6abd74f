"""A baseline is checked against the plan before weights load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from windtunnel.tests.toys import windtunnel, write_suite

GATES: Any = [{"check": "notes.accuracy", "drop": 0.6}]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baselines")
    assert windtunnel("run", write_suite(folder), "--out", folder / "before", "-q").code == 0
    assert windtunnel("baseline", folder / "before", "--out", folder / "baseline.json").code == 0
    return folder / "baseline.json"


def _plan(folder: Path, **keys: Any) -> tuple[int, str]:
    answer = windtunnel("plan", write_suite(folder, **{"gates": GATES, **keys}))
    return answer.code, answer.err


def test_a_plan_checks_its_baseline(before: Path, tmp_path: Path) -> None:
    assert _plan(tmp_path, baseline=str(before)) == (0, "")
    times = [{"check": "notes.seconds_per_sample", "relative": 9.0, "inconclusive": "warn"}]
    assert _plan(tmp_path, baseline=str(before), gates=times) == (0, "")
    assert _plan(tmp_path, baseline=str(before), models=[{"model": "slow:words", "name": "renamed"}]) == (0, "")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"limit": 8}, "the baseline's notes has different limit (12, then 8), data; 8 of the 8 samples are in both"),
        ({"tasks": [{"task": "notes", "num": 14}]}, "12 of the 14 samples are in both"),
        ({"attacks": ["swap"], "gates": [{"check": "swap(notes).robust_accuracy", "drop": 0.1}]},
         "the baseline has no such number; it has batch_invariance(notes), notes"),
        ({"attacks": ["swap"], "gates": [{"check": "*.mean_words_changed", "drop": 0.1}]}, "the baseline has no such number"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_before_the_run(before: Path, tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    code, said = _plan(tmp_path, baseline=str(before), **keys)
    assert (code, words in said) == (2, True), said
    assert "toys.yaml:" in said
    answer = windtunnel("run", tmp_path / "toys.yaml", "--out", tmp_path / "run", "-q")
    assert (answer.code, (tmp_path / "run").exists()) == (2, False)


def test_a_file_that_is_no_baseline_is_refused_before_the_run(before: Path, tmp_path: Path) -> None:
    newer = {**json.loads(before.read_text()), "schema": 99}
    (tmp_path / "newer.json").write_text(json.dumps(newer))
    for name, words in (("newer.json", "a newer version of windtunnel"), ("nowhere.json", "neither a run folder nor a baseline file")):
        code, said = _plan(tmp_path, baseline=str(tmp_path / name))
        assert (code, words in said) == (2, True), said


def test_a_gate_may_say_what_a_missing_number_means(before: Path, tmp_path: Path) -> None:
    gates = [{"check": "swap(notes).robust_accuracy", "drop": 0.1, "missing": "pass"}]
    assert _plan(tmp_path, baseline=str(before), attacks=["swap"], gates=gates)[0] == 0


def test_a_suite_may_have_no_baseline_yet(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, gates=GATES, baseline="none")
    answer = windtunnel("run", suite, "--out", tmp_path / "run", "-q")
    assert (answer.code, "there is no baseline to compare with" in answer.out) == (3, True)
