"""A confidence sequence misses the true mean, at any time, at most as often as promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betaln
from windtunnel.harness.statistics.sequential import mean_at_any_time

LOOKS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500)
RUNS = 400


@pytest.mark.parametrize("p", [0.02, 0.5, 0.85, 0.99])
def test_with_a_look_after_every_chunk_the_truth_is_seldom_outside(p: float) -> None:
    assert _share_of_misses(np.random.default_rng(int(p * 100)).random((RUNS, LOOKS[-1])) < p, p) <= 0.05 + 3 * 0.011


def test_scores_between_the_bounds_are_covered_too() -> None:
    values = np.random.default_rng(1).beta(0.4, 1.6, (RUNS, LOOKS[-1]))
    assert _share_of_misses(values, 0.2) <= 0.05


def test_an_interval_for_a_fixed_number_misses_more_often() -> None:
    """The reason for the sequence: Clopper and Pearson's interval, looked at after every chunk."""
    from windtunnel.harness.statistics import rate

    right = np.random.default_rng(0).random((200, LOOKS[-1])) < 0.5
    outside = [[not low <= 0.5 <= high for low, high in (rate(int(run[:n].sum()), n) for n in LOOKS)] for run in right]
    assert np.mean([any(run) for run in outside]) > 0.09


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (3, 10), (0, 40), (40, 40), (170, 200)])
def test_the_bounds_are_where_the_evidence_reaches_twenty(successes: int, n: int) -> None:
    found = mean_at_any_time([1.0] * successes + [0.0] * (n - successes))
    assert found.low is not None
    assert found.high is not None
    for bound, end in ((found.low, 0.0), (found.high, 1.0)):
        if bound != end:
            mixture = betaln(0.5 + successes, 0.5 + n - successes) - betaln(0.5, 0.5)
            assert mixture - successes * np.log(bound) - (n - successes) * np.log1p(-bound) == pytest.approx(np.log(20), abs=1e-6)
    assert (found.low == 0.0) == (successes == 0)
    assert (found.high == 1.0) == (successes == n)


def test_bounds_scale_with_the_scores() -> None:
    unit, wide = mean_at_any_time([0.2, 0.9, 1.0]), mean_at_any_time([-0.6, 0.8, 1.0], -1.0, 1.0)
    assert unit.low is not None
    assert unit.high is not None
    assert (wide.low, wide.high) == pytest.approx((2 * unit.low - 1, 2 * unit.high - 1))


def test_no_sample_has_no_interval() -> None:
    assert mean_at_any_time([]).low is None


def _share_of_misses(values: np.ndarray, mean: float) -> float:
    misses = 0
    for run in values:
        found = [mean_at_any_time(run[:n]) for n in LOOKS]
        misses += any(not (f.low or 0.0) <= mean <= (1.0 if f.high is None else f.high) for f in found)
    return misses / len(values)
