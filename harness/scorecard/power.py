"""What a gate can tell: how often it fails although nothing changed, and which drop it catches.

The samples of a run are drawn anew with replacement, as if the model had answered other samples of the same kind, and
the gate judges each draw. Against a baseline, the two runs of each drawn sample are swapped at random.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ..statistics import Evidence
from .simulation import draw_samples, swap_runs, worsen

NUM_DRAWS = 400
CAUGHT = 0.8
PROMISED = 0.05
"""The largest share of draws without a change in which a gate may fail."""
_STEPS = 7
_SMALLEST = 1 / 2**_STEPS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Power:
    """The result of a simulation of one gate on one row.

    ``n``: the number of samples. ``num_draws``: the number of draws.
    ``passes``, ``fails``, ``inconclusive``: the share of the draws without a change that have this outcome.
    ``stops``: the share whose verdict is fail, which an inconclusive outcome may mean.
    ``drop``: the change for the worse that the gate fails on with a probability of `CAUGHT`, in the unit of the row;
        None if even the largest one that was tried is not caught, or if none can be made; ``reason`` says which.
    """

    n: int
    num_draws: int
    passes: float
    fails: float
    inconclusive: float
    stops: float
    drop: float | None = None
    reason: str = ""

    @property
    def exceeds_promise(self) -> bool:
        """Whether the gate fails more often than promised although nothing changed, beyond the error of the simulation."""
        return self.stops > PROMISED + 2 * float(np.sqrt(PROMISED * (1 - PROMISED) / self.num_draws))


def measure_power(
    evidence: Evidence, judge: Callable[[Evidence], str], higher_is_better: bool | None, *,
    inconclusive: str = "fail", seed: int = 0, num_draws: int = NUM_DRAWS,
) -> Power:  # fmt: skip
    """Simulate a gate with a threshold.

    ``evidence``: the samples of the gate's row. ``judge``: the outcome on other samples: pass, fail or inconclusive.
    ``higher_is_better``: the row's direction; None for no drop to catch.
    ``inconclusive``: the verdict of an inconclusive outcome. ``seed``, ``num_draws``: of the simulation.
    """

    def draw(rng: np.random.Generator, share: float) -> tuple[Evidence, float] | None:
        drawn = draw_samples(evidence, rng)
        worse = worsen(drawn, share, bool(higher_is_better), rng) if share else drawn
        return None if worse is None else (worse, worse.compute_value() or 0.0)

    return _simulate(draw, judge, higher_is_better, len(evidence.ids_N), inconclusive, seed, num_draws)


def measure_paired_power(
    pair: tuple[Evidence, Evidence], judge: Callable[[tuple[Evidence, Evidence]], str], higher_is_better: bool | None, *,
    inconclusive: str = "fail", seed: int = 0, num_draws: int = NUM_DRAWS,
) -> Power:  # fmt: skip
    """Simulate a gate against a baseline; parameters as in `measure_power`.

    ``pair``: the evidence of the run and of the baseline on the same samples in the same order.
    """

    def draw(rng: np.random.Generator, share: float) -> tuple[tuple[Evidence, Evidence], float] | None:
        start = int(rng.integers(2**63))
        drawn = swap_runs((draw_samples(pair[0], np.random.default_rng(start)), draw_samples(pair[1], np.random.default_rng(start))), rng)
        worse = worsen(drawn[0], share, bool(higher_is_better), rng) if share else drawn[0]
        return None if worse is None else ((worse, drawn[1]), worse.compute_value() or 0.0)

    return _simulate(draw, judge, higher_is_better, len(pair[0].ids_N), inconclusive, seed, num_draws)


def _simulate(
    draw: Callable[[np.random.Generator, float], tuple[T, float] | None], judge: Callable[[T], str], higher_is_better: bool | None,
    n: int, inconclusive: str, seed: int, num_draws: int,
) -> Power:  # fmt: skip
    def run(share: float) -> tuple[Counter[str], float] | None:
        rng, outcomes, values = np.random.default_rng(seed), Counter[str](), []
        for _ in range(num_draws):
            drawn = draw(rng, share)
            if drawn is None:
                return None
            outcomes[judge(drawn[0])] += 1
            values.append(drawn[1])
        return outcomes, float(np.mean(values))

    def count_stops(outcomes: Counter[str]) -> float:
        stops = outcomes["fail"] + (outcomes["inconclusive"] if inconclusive == "fail" else 0)
        return stops / num_draws

    unchanged = run(0.0)
    assert unchanged is not None
    outcomes, value = unchanged
    passes, fails, inconclusives = (outcomes[name] / num_draws for name in ("pass", "fail", "inconclusive"))
    power = Power(n, num_draws, passes, fails, inconclusives, count_stops(outcomes))
    if higher_is_better is None:
        return replace(power, reason="neither direction of this number is better")
    most = run(1.0)
    if most is None:
        return replace(power, reason="no way is known to make this number worse by a given share of the samples")
    if count_stops(most[0]) < CAUGHT:
        return replace(power, reason=f"even with all answers made worse, it fails in {count_stops(most[0]):.0%} of the draws")
    least, caught, changed = 0.0, 1.0, most[1]
    while caught - least > _SMALLEST:
        middle = (least + caught) / 2
        found = run(middle)
        assert found is not None
        if count_stops(found[0]) >= CAUGHT:
            caught, changed = middle, found[1]
        else:
            least = middle
    return replace(power, drop=abs(value - changed))
