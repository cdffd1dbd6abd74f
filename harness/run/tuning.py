"""The batches that a model is fastest with on this machine: found by running a part of a suite's work under several budgets.

A field of the budget is doubled or halved for as long as that makes the work faster; a budget under which memory runs out is none.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from ..api.model import Model, ModelInfo
from ..api.requests import Request
from ..engine import Engine
from ..engine.packing import Budget
from ..items.base.planned_item import PlannedModel
from ..items.base.requests import requests_of
from ..plan.types import Plan

WORTH = 1.05
"""So many times faster is a budget that is taken: less is within what two runs of the same work differ by."""
ROUNDS = 3
_HOPELESS = 1 / WORTH
_POSITIONS = 4
"""Packs, of the start's size, that the work has at most before anything in it is shared."""


@dataclass(frozen=True, slots=True)
class Trial:
    """``faster``: times the budget that was best before it; None: memory ran out."""

    budget: Budget
    faster: float | None


@dataclass(frozen=True, slots=True)
class Tuned:
    """``faster``: the found budget's times the first one's. ``num_requests`` 0: the suite has no requests to measure with."""

    model: str
    start: Budget
    found: Budget
    faster: float
    num_requests: int
    trials: tuple[Trial, ...]


def tune(plan: Plan, start_of: Callable[[Model], Budget], loaded: Callable[[PlannedModel], Model]) -> Iterator[tuple[Model, Tuned]]:
    """Each model of a plan, loaded, with the budget that its tasks run fastest under. ``start_of``: what a loaded model would run with."""
    for planned in plan.models:
        with closing(loaded(planned)) as model:
            start = start_of(model)
            requests = work_of(plan, planned, start)
            trials = tuple(climb(model, planned.info, requests, start)) if requests else ()
            taken = [trial for trial in trials if trial.faster is not None and trial.faster >= WORTH]
            faster = math.prod(trial.faster or 1.0 for trial in taken)
            yield model, Tuned(planned.name, start, taken[-1].budget if taken else start, faster, len(requests), trials)


def work_of(plan: Plan, model: PlannedModel, start: Budget) -> list[Request[Any]]:
    """What the model's tasks ask for the first of their samples, a like share of each task."""
    items = [item for item in plan.items if item.key.is_task and item.model.name == model.name]
    room = _POSITIONS * max(start.pack, start.tokens) / max(1, len(items))
    found: list[Request[Any]] = []
    for item in items:
        positions = num = 0
        while num < len(item.samples) and positions < room:
            positions += item.task.positions[num]
            num += 1
        found += requests_of(item.task.task, list(item.samples[:num]))
    return found


def climb(model: Model, info: ModelInfo, requests: Sequence[Request[Any]], start: Budget) -> Iterator[Trial]:
    """Every budget that was tried. The best is the last one of them that is `WORTH` it."""

    def spent(budget: Budget) -> tuple[float, bool]:
        engine = Engine(model, info, budget=budget)
        began = time.perf_counter()
        engine.try_run(requests)
        return time.perf_counter() - began, engine.counters.oom_splits == 0

    spent(start)  # what is slow only once: kernels chosen, memory taken
    best = start
    for field in ("pack", "tokens", "padding"):
        for factor in (2.0, 0.5):
            moved = False
            while getattr(best, field) * factor >= 1:
                candidate = replace(best, **{field: int(getattr(best, field) * factor)})
                trial = Trial(candidate, _faster(spent, best, candidate))
                yield trial
                if trial.faster is None or trial.faster < WORTH:
                    break
                best, moved = candidate, True
            if moved:
                break


def _faster(spent: Callable[[Budget], tuple[float, bool]], best: Budget, candidate: Budget) -> float | None:
    """How many times faster the candidate is, in turns: a busy machine slows both."""
    ratios = []
    for _ in range(ROUNDS):
        (before, _), (after, fits) = spent(best), spent(candidate)
        if not fits:
            return None
        ratios.append(before / after)
        if ratios[-1] < _HOPELESS:
            break
    return statistics.median(ratios)
