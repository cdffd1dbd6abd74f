"""``windtunnel gate --power``: what gates can tell, from the run's own samples."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from windtunnel.tests.toys import windtunnel, write_suite


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 60 samples, of which the model gets 48 right."""
    place = tmp_path_factory.mktemp("power")
    suite = write_suite(place, tasks=[{"task": "notes", "num": 60}], gates=["notes.accuracy >= 0.5"])
    assert windtunnel("run", suite, "--out", place / "run", "-q").code == 0
    return place / "run"


def test_a_gate_of_the_suite_is_simulated(folder: Path) -> None:
    done = windtunnel("gate", folder, "--power")
    assert done.code == 0
    assert "notes.accuracy >= 0.5  (words/notes.accuracy)" in done.out
    assert "of 400 draws of 60 samples" in done.out
    assert "is caught with a probability of 80%" in done.out


def test_a_gate_at_the_value_is_told_to_be_too_strict(folder: Path) -> None:
    done = windtunnel("gate", folder, "notes.accuracy >= 0.8", "--power")
    assert done.code == 1
    assert "TOO STRICT" in done.out
    (inconclusive,) = re.findall(r"inconclusive (.*?)%", done.out)
    assert float(inconclusive) > 80


def test_a_gate_against_a_baseline_is_simulated_with_pairs(folder: Path) -> None:
    done = windtunnel("gate", folder, "{check: notes.accuracy, drop: 0.2}", "--baseline", folder, "--power", "--json")
    (found,) = json.loads(done.out)
    assert (found["passes"], found["exceeds_promise"]) == (1.0, False)
    assert 0.05 < found["drop"] < 0.3


def test_what_cannot_be_simulated_has_a_reason(folder: Path) -> None:
    done = windtunnel(
        "gate", folder, "notes.forward_passes <= 100", "notes.accuracy.n >= 10", "{check: notes.accuracy, drop: 0.1}", "--power"
    )
    assert done.code == 0
    assert done.out.count("not simulated") == 3
    assert "none can be drawn anew" in done.out
    assert "it needs a baseline" in done.out
