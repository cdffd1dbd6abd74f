"""Intervals at fixed looks against published boundaries and in simulations."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from windtunnel.harness.statistics import paired_mean_difference
from windtunnel.harness.statistics.fixed_looks import find_tails, list_looks, mean_at_look
from windtunnel.harness.statistics.intervals import TAIL
from windtunnel.harness.statistics.means import rate
from windtunnel.harness.statistics.sequential import mean_at_any_time


@pytest.mark.parametrize(
    ("num_looks", "boundaries"),
    [
        (2, (2.963, 1.969)), (3, (3.710, 2.511, 1.993)), (4, (4.333, 2.963, 2.359, 2.014)), (5, (4.877, 3.357, 2.680, 2.290, 2.031)),
        (10, (6.991, 4.877, 3.930, 3.367, 2.989, 2.715, 2.504, 2.336, 2.198, 2.081)),
    ],
)  # fmt: skip
def test_the_boundaries_are_the_published_ones(num_looks: int, boundaries: tuple[float, ...]) -> None:
    """Those of Lan & DeMets for two sides of 2.5 %, as in Reboussin et al., Controlled Clinical Trials 2000."""
    assert [NormalDist().inv_cdf(1 - tail) for tail in find_tails(num_looks)] == pytest.approx(boundaries, abs=2e-3)


def test_looks_are_equally_spaced_and_end_with_the_last_sample() -> None:
    assert list_looks(200, 4) == [50, 100, 150, 200]
    assert list_looks(10, 4) == [3, 5, 8, 10]
    assert list_looks(2, 4) == [1, 2]


def test_an_interval_at_a_look_is_that_of_a_rate() -> None:
    tail = find_tails(4)[1]
    found = mean_at_look(np.repeat([1.0, 0.0], [80, 20]), 0.0, 1.0, tail)
    assert (found.low, found.high) == pytest.approx(rate(80, 100, tail), abs=1e-9)
    assert mean_at_look(np.zeros(0), 0.0, 1.0, tail).low is None
    few = mean_at_look(np.ones(4), 0.0, 1.0, tail, ("a", "a", "b", "b"))
    assert (few.low, "fewer than" in few.reason) == (None, True)


@pytest.mark.long
@pytest.mark.parametrize("num", [50, 200, 1000])
@pytest.mark.parametrize("truth", [0.5, 0.8, 0.95])
def test_a_true_threshold_is_excluded_as_seldom_as_promised(num: int, truth: float) -> None:
    """A gate at the truth passes in at most 2.5 % of runs, and fails in at most 2.5 %, whatever look ends them."""
    looks, tails = list_looks(num, 4), find_tails(4)
    right = np.cumsum(np.random.default_rng(num).random((20_000, num)) < truth, axis=1)
    passes, fails = np.zeros(len(right), bool), np.zeros(len(right), bool)
    for look, tail in zip(looks, tails, strict=True):
        bounds = np.array([rate(count, look, tail) for count in range(look + 1)])
        low, high = bounds[right[:, look - 1]].T
        passes |= low >= truth
        fails |= high < truth
    assert passes.mean() <= TAIL + 3 * np.sqrt(TAIL / len(right))
    assert fails.mean() <= TAIL + 3 * np.sqrt(TAIL / len(right))


@pytest.mark.long
@pytest.mark.parametrize("num", [50, 200, 1000])
@pytest.mark.parametrize(("regressed", "fixed", "drop"), [(0.05, 0.05, 0.0), (0.07, 0.05, 0.02), (0.05, 0.0, 0.05), (0.01, 0.01, 0.0)])
def test_gates_against_a_baseline_err_as_seldom_as_promised(num: int, regressed: float, fixed: float, drop: float) -> None:
    """Of runs that are worse by just the allowed drop, at most 2.5 % pass and at most 2.5 % fail, whatever look ends them; of equal runs
    with an allowed drop, fewer fail."""
    looks, tails = list_looks(num, 4), find_tails(4)
    draws = np.random.default_rng(num).random((4_000, num))
    lost, won = (np.cumsum(part, axis=1) for part in (draws < regressed, draws > 1 - fixed))
    passes, fails = np.zeros(len(draws), bool), np.zeros(len(draws), bool)
    for look, tail in zip(looks, tails, strict=True):
        pairs = np.stack([lost[:, look - 1], won[:, look - 1]], axis=1)
        cells, place = np.unique(pairs, axis=0, return_inverse=True)
        bounds = []
        for num_lost, num_won in cells.tolist():
            after = np.repeat([0.0, 1.0, 1.0], [num_lost, num_won, look - num_lost - num_won])
            before = np.repeat([1.0, 0.0, 1.0], [num_lost, num_won, look - num_lost - num_won])
            found = paired_mean_difference(after, before, 0, 1, tail=tail)
            bounds.append((found.low, found.high))
        low, high = np.array(bounds)[place.ravel()].T
        passes |= low >= -drop
        fails |= high < -drop
    assert regressed - fixed == pytest.approx(drop)
    assert passes.mean() <= TAIL + 3 * np.sqrt(TAIL / len(draws))
    assert fails.mean() <= TAIL + 3 * np.sqrt(TAIL / len(draws))


@pytest.mark.long
def test_looks_decide_small_differences_that_a_confidence_sequence_leaves_open() -> None:
    def decide(truth: float, threshold: float, num: int = 1000, draws: int = 400) -> tuple[float, float, float, float]:
        """Return the share of decided runs and the mean number of samples, at 4 looks and at 20 looks of the sequence."""
        right = np.cumsum(np.random.default_rng(1).random((draws, num)) < truth, axis=1)
        found = []
        for looks, tails in ((list_looks(num, 4), find_tails(4)), (list_looks(num, 20), None)):
            used, decided = np.full(draws, num), np.zeros(draws, bool)
            for place, look in enumerate(looks):
                for draw in np.flatnonzero(~decided):
                    count = int(right[draw, look - 1])
                    if tails is not None:
                        low, high = rate(count, look, tails[place])
                    else:
                        interval = mean_at_any_time(np.repeat([1.0, 0.0], [count, look - count]))
                        low, high = interval.low or 0.0, interval.high or 1.0
                    if not low <= threshold <= high:
                        used[draw], decided[draw] = look, True
            found += [float(decided.mean()), float(used.mean())]
        return found[0], found[1], found[2], found[3]

    at_looks, _, in_sequence, _ = decide(0.85, 0.82)
    assert at_looks > in_sequence + 0.2
    assert decide(0.95, 0.85)[1] > decide(0.95, 0.85)[3], "a large difference is seen sooner by a sequence"
