"""Planted regressions are found by the right row, and two equal models are not told apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from windtunnel.harness.api.comparison import WORSE, Comparison
from windtunnel.harness.api.scorecard import GateResult
from windtunnel.harness.results.baseline import load_baseline
from windtunnel.harness.results.compare import compare_paths
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.scorecard.gates import parse_entry
from windtunnel.harness.store import ChunkTimes, Store, StoredChunk, StoredItem
from windtunnel.tests.planted import FAULTS, GATES, NOISE, WHOLE, run_planted

TASK = {"num": 6000}
SHOWN: dict[str, tuple[str, set[str]]] = {
    "overall": ("numbered.accuracy", {"numbered", "emphasis(numbered)"}),
    "one slice": ("numbered.accuracy[a]", {"numbered", "emphasis(numbered)"}),
    "robustness": ("emphasis(numbered).robust_accuracy", {"emphasis(numbered)"}),
    "explanation": ("occlusion(numbered).comprehensiveness", {"occlusion(numbered)"}),
}
"""The row that shows each fault, and the items that may be called worse."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def baseline(place: Path) -> Path:
    return run_planted(place, "baseline", WHOLE, TASK, noise=NOISE)


@pytest.fixture(autouse=True)
def steady() -> Iterator[None]:
    """No time of a run in a test: each chunk takes a second."""
    with mock.patch.object(Store, "chunks", return_value=[make_chunk(number, 64.0) for number in range(8)]):
        yield


def make_chunk(number: int, seconds: float) -> StoredChunk:
    return StoredChunk(number, str(number), 64, {}, ChunkTimes(seconds, seconds))


def check(candidate: Path, baseline: Path, *gates: str | dict[str, Any]) -> tuple[GateResult, ...]:
    return summarise(candidate, gates=[parse_entry(gate) for gate in gates], baseline=load_baseline(baseline)).gates


def worse_rows(comparison: Comparison) -> set[str]:
    return {f"{change.row.item}.{change.row.name}" for change in comparison.of_verdict(WORSE)}


@pytest.mark.long
@pytest.mark.parametrize("fault", SHOWN)
def test_a_planted_regression_is_found_where_it_was_planted(place: Path, baseline: Path, fault: str) -> None:
    row, items = SHOWN[fault]
    candidate = run_planted(place, fault.replace(" ", "_"), WHOLE, TASK, seed=1, noise=NOISE, **FAULTS[fault])
    (comparison,) = compare_paths(baseline, [candidate])
    found = worse_rows(comparison)
    assert row in found
    assert {name.rpartition(".")[0] for name in found} <= items
    outcomes = dict(zip(GATES, (gate.outcome for gate in check(candidate, baseline, *GATES.values())), strict=True))
    assert [name for name, outcome in outcomes.items() if outcome == "fail"] == [fault]


def test_a_regression_of_two_points_is_found(place: Path) -> None:
    small = {"num": 3000}
    before, after = run_planted(place, "before", None, small), run_planted(place, "after", None, small, seed=1, overall=0.03)
    (comparison,) = compare_paths(before, [after])
    assert "numbered.accuracy" in worse_rows(comparison)
    headline = next(change for change in comparison.rows if change.is_headline)
    assert headline.difference.value == pytest.approx(-0.025, abs=0.012)


def test_a_slower_model_is_found(place: Path) -> None:
    """By the same chunks, 40 % slower and a little unsteady, and nothing else."""
    before = run_planted(place, "fast", None, {"num": 400})
    after = run_planted(place, "slow", None, {"num": 400})

    def chunks(store: Store, item: StoredItem) -> list[StoredChunk]:
        factor = 1.4 if store.path.parent == after else 1.0
        return [make_chunk(number, factor * (1 + 0.02 * (number % 3))) for number in range(8)]

    with mock.patch.object(Store, "chunks", chunks):
        (comparison,) = compare_paths(before, [after])
        (gate,) = check(after, before, {"check": "numbered.seconds_per_sample", "relative": 0.2})
    assert "numbered.seconds_per_sample" in worse_rows(comparison)
    assert {name.rpartition(".")[2] for name in worse_rows(comparison)} == {"seconds_per_sample"}
    assert (gate.outcome, gate.rows[0].n) == ("fail", 8)


def count_alarms(place: Path, num_pairs: int, suite: dict[str, Any], task: dict[str, Any]) -> tuple[int, int]:
    """Return in how many pairs of equal models, which differ by their own noise, any row is called worse or better, and any gate fails."""
    runs = [run_planted(place, f"equal{seed}", suite, task, seed=100 + seed) for seed in range(2 * num_pairs)]
    pairs = list(zip(runs[::2], runs[1::2], strict=True))
    verdicts = [compare_paths(before, [after])[0].verdict for before, after in pairs]
    failed = [any(gate.outcome == "fail" for gate in check(after, before, *GATES.values())) for before, after in pairs]
    return sum(verdict in ("worse", "better") for verdict in verdicts), sum(failed)


def test_equal_models_are_not_told_apart(place: Path) -> None:
    assert count_alarms(place, 2, {}, {"num": 300}) == (0, 0)


@pytest.mark.long
def test_twenty_pairs_of_equal_models_are_told_apart_as_seldom_as_promised(place: Path) -> None:
    """At most 5 % of comparisons, 2.5 % a gate: of 20 pairs, four or more alarms have a probability below 2 %."""
    told_apart, failed = count_alarms(place, 20, {**WHOLE, "attacks": ["emphasis"]}, {"num": 800})
    assert told_apart <= 3
    assert failed <= 3
