"""Measures how long a plan takes: runs the first samples of each item, and estimates the rest from their times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from ..api.registry import Registry
from ..plan.planner import plan as make_plan
from ..plan.types import Plan
from ..store import FILE_NAME, Store
from ..suite.specs import AttackSpec, ProbeSpec, Suite, TaskSpec
from .item_times import ItemTime, estimate_time
from .pace import Key
from .progress import Progress
from .runner import run_plan

NUM_SAMPLES = 16
"""The number of measured samples of each item."""

FIRST_CHUNK = 2
"""The number of those in the first of two chunks, which also loads libraries."""

Spec = TypeVar("Spec", TaskSpec, AttackSpec, ProbeSpec)


def measure_plan(plan: Plan, registry: Registry, progress: Progress, /) -> dict[Key, ItemTime]:
    """Run the first samples of each item in a temporary folder, and return the estimated times by model and item.

    The answers are not kept, neither in a run folder nor in the suite's cache. The estimates leave out the time to load weights.

    registry: the plugins of the plan. progress: receives the events of the run.
    Raises `CapabilityError` if an entry of the plan cannot run, and other errors as `run_plan` does.
    """
    plan.require_possible()
    short = make_plan(shorten_suite(plan.suite), registry)
    with TemporaryDirectory(prefix="windtunnel-") as folder:
        run_plan(short, Path(folder) / "run", progress=progress, registry=registry, first_chunk=FIRST_CHUNK)
        store = Store.open(Path(folder) / "run" / FILE_NAME, readonly=True)
        try:
            measured = {(stored.model, stored.item): (store.chunks(stored), stored.facts["device"] == "cpu") for stored in store.items()}
        finally:
            store.close()
    times = {}
    for item in plan.items:
        chunks, on_cpu = measured.get((item.model.name, item.item), ((), False))
        if (time := estimate_time(item, chunks, plan.suite.chunk, on_cpu=on_cpu)) is not None:
            times[item.model.name, item.item] = time
    return times


def shorten_suite(suite: Suite, /) -> Suite:
    """Return the suite with at most `NUM_SAMPLES` samples of each item, and without gates and cache."""
    changes = {
        "tasks": _shorten(suite.tasks), "attacks": _shorten(suite.attacks), "probes": _shorten(suite.probes),
        "limit": _limit(suite.limit), "chunk": min(suite.chunk, NUM_SAMPLES),
        "gates": (), "baseline": None, "baseline_model": None, "stop": None, "cache": None,
    }  # fmt: skip
    return suite.model_copy(update=changes)


def _shorten(specs: Sequence[Spec]) -> tuple[Spec, ...]:
    return tuple(spec.model_copy(update={"limit": _limit(spec.limit)}) if spec.limit else spec for spec in specs)


def _limit(given: int | None) -> int:
    return min(given or NUM_SAMPLES, NUM_SAMPLES)
