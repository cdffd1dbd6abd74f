"""Tuning of batch budgets: measures a part of a suite's work with several budgets to find a model's fastest on this machine.

Each field of the budget is doubled or halved while that is faster. A budget that runs out of memory is rejected.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from ..api.model import Model, ModelInfo
from ..api.requests import Request
from ..api.responses import Response
from ..engine import Engine
from ..engine.packing import Budget
from ..items.base.planned_item import PlannedModel
from ..items.base.requests import list_requests
from ..plan.types import Plan

WORTH = 1.05
"""The minimum speed-up of an accepted budget; smaller ones are within the variation between equal runs."""
ROUNDS = 3
_HOPELESS = 1 / WORTH
_POSITIONS = 4
"""The maximum size of the work, in packs of the initial budget, before prefixes are shared."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One measured budget. ``faster``: its speed relative to the best budget before it; None: memory ran out."""

    budget: Budget
    faster: float | None


@dataclass(frozen=True, slots=True)
class Tuned:
    """The result for a model. ``faster``: the speed of ``found`` relative to ``start``. ``num_requests``: 0 if none exist."""

    model: str
    start: Budget
    found: Budget
    faster: float
    num_requests: int
    trials: tuple[Trial, ...]


def tune(plan: Plan, start_of: Callable[[Model], Budget], load: Callable[[PlannedModel], Model]) -> Iterator[tuple[Model, Tuned]]:
    """Load each model of a plan and yield it with the fastest budget for its tasks.

    ``start_of``: returns the current budget of a loaded model. ``load``: loads a model.
    """
    for planned in plan.models:
        with closing(load(planned)) as model:
            start = start_of(model)
            requests = list_work(plan, planned, start)
            trials = tuple(climb(model, planned.info, requests, start)) if requests else ()
            taken = [trial for trial in trials if trial.faster is not None and trial.faster >= WORTH]
            faster = math.prod(trial.faster or 1.0 for trial in taken)
            yield model, Tuned(planned.name, start, taken[-1].budget if taken else start, faster, len(requests), trials)


def list_work(plan: Plan, model: PlannedModel, start: Budget) -> list[Request[Response]]:
    """Return the requests of the first samples of the model's tasks, with about as many positions per task."""
    items = [item for item in plan.items if item.key.is_task and item.model.name == model.name]
    room = _POSITIONS * max(start.pack, start.tokens) / max(1, len(items))
    requests: list[Request[Response]] = []
    for item in items:
        positions = num = 0
        while num < len(item.samples) and positions < room:
            positions += item.task.positions[num]
            num += 1
        requests += list_requests(item.task.task, list(item.samples[:num]))
    return requests


def climb(model: Model, info: ModelInfo, requests: Sequence[Request[Response]], start: Budget) -> Iterator[Trial]:
    """Yield the measured budgets. The best one is the last whose speed-up is at least `WORTH`."""

    def measure(budget: Budget) -> tuple[float, bool]:
        engine = Engine(model, info, budget=budget)
        began = time.perf_counter()
        engine.try_run(requests)
        return time.perf_counter() - began, engine.counters.oom_splits == 0

    measure(start)  # warm up: kernel selection, memory allocation
    best = start
    for field in ("pack", "tokens", "padding"):
        for factor in (2.0, 0.5):
            moved = False
            while getattr(best, field) * factor >= 1:
                candidate = replace(best, **{field: int(getattr(best, field) * factor)})
                trial = Trial(candidate, _compare_budgets(measure, best, candidate))
                yield trial
                if trial.faster is None or trial.faster < WORTH:
                    break
                best, moved = candidate, True
            if moved:
                break


def _compare_budgets(measure: Callable[[Budget], tuple[float, bool]], best: Budget, candidate: Budget) -> float | None:
    """Return the candidate's speed-up; None if memory runs out. The two alternate, so that other load affects both."""
    ratios = []
    for _ in range(ROUNDS):
        (before, _), (after, fits) = measure(best), measure(candidate)
        if not fits:
            return None
        ratios.append(before / after)
        if ratios[-1] < _HOPELESS:
            break
    return statistics.median(ratios)
