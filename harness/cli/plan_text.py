"""A plan as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..api.errors import CapabilityError, IncompleteRun
from ..items.base.planned_item import PlannedItem, PlannedTask
from ..plan.gate_checks import ONLY_AT_LOOKS
from ..plan.types import Plan
from ..run.item_times import ItemTime, share_times
from ..run.pace import Key
from ..run.timed_progress import format_duration

NOTED_SHARE = 0.1
"""The share of the time from which a measured plan says how to leave out items that no entry of the suite asks for."""

Times = Mapping[Key, ItemTime]
"""Estimated times by model and item; empty if nothing was measured."""


def plan_json(plan: Plan, times: Times) -> dict[str, Any]:
    shares = share_times(times)
    return {
        "suite": plan.suite.name,
        "identity": plan.suite.identity(),
        "models": [
            {
                "name": m.name,
                "model": m.spec.model,
                "answers": {kind: sorted(m.info.answers[kind]) for kind in sorted(m.info.answers)},
                "features": sorted(m.info.features),
                "labels": list(m.info.labels),
            }
            for m in plan.models
        ],
        "items": [
            {
                "model": i.model.name,
                "item": i.item,
                "kind": i.kind.name,
                "num_samples": len(i.samples),
                "num_requests": i.num_requests,
                **(_list_times(i, time, shares) if (time := times.get((i.model.name, i.item))) is not None else {}),
            }
            for i in plan.items
        ],
        "data": {
            task.name: {
                "num_samples": len(task.samples),
                "num_unusable": task.num_unusable,
                "notes": list(task.notes),
                "cautions": list(task.cautions),
            }
            for task in _list_tasks(plan)
        },
        "skipped": [{"model": s.model, "item": s.item, "reason": s.reason} for s in plan.skipped],
        "impossible": list(plan.impossible),
    }


def _list_times(item: PlannedItem, time: ItemTime, shares: Mapping[Key, float]) -> dict[str, float]:
    share = shares[item.model.name, item.item]
    per_sample = time.seconds / len(item.samples)
    return {"seconds": round(time.seconds, 3), "seconds_per_sample": round(per_sample, 6), "share_of_time": round(share, 4)}


def plan_text(plan: Plan, times: Times) -> str:
    lines, shares = [], share_times(times)
    for model in plan.models:
        lines.append(f"{model.name}  ({model.spec.model})")
        labels = f"; labels: {', '.join(model.info.labels)}" if model.info.labels else ""
        lines.append(f"  answers {model.info}{labels}")
        for item in plan.items:
            if item.model.name == model.name:
                requests = "as the search goes" if item.num_requests is None else f"{item.num_requests:,} requests"
                cost = _format_cost(item, times, shares) if times else ""
                lines.append(f"  {item.item:<44} {len(item.samples):>7,} samples   {requests:<22}   {cost}".rstrip())
        lines += [f"  not {s.item}: {s.reason}" for s in plan.skipped if s.model == model.name]
    for task in _list_tasks(plan):
        lines += [f"data of {task.name}: {note}" for note in task.notes]
        lines += [f"note: {task.name}: {caution}" for caution in task.cautions]
    lines += _list_derived(plan.items, shares)
    lines += _list_never_ended(plan)
    if times:
        total = format_duration(sum(time.seconds for time in times.values()))
        num = max(time.num_measured for time in times.values())
        lines.append(f"about {total} in all, without loading weights; measured on the first {num:,} samples of each item")
    elif plan.items:
        lines.append("times: unknown yet; --measure runs a few samples of each item, and estimates them")
    lines += [f"impossible: {sentence}" for sentence in plan.impossible]
    return "\n".join(lines)


def _format_cost(item: PlannedItem, times: Times, shares: Mapping[Key, float]) -> str:
    """Return the time of an item and its share: ``about 30 s (0.75 s per sample), 50 % of the time``."""
    if (time := times.get((item.model.name, item.item))) is None:
        return "time unknown"
    share = shares[item.model.name, item.item]
    part = f"{share:.0%} of the time".replace("%", " %") if share >= 0.005 else "hardly any of the time"
    return f"about {format_duration(time.seconds)} ({time.seconds / len(item.samples):.2g} s per sample), {part}"


def _list_derived(items: Sequence[PlannedItem], shares: Mapping[Key, float]) -> Iterator[str]:
    """Yield how to leave out items that no entry of the suite asks for, by kind; with their share of the time if it was measured."""
    kinds: dict[tuple[str, str], list[PlannedItem]] = {}
    for item in items:
        if omit := item.kind.how_to_omit(item):
            kinds.setdefault((item.key.program, omit), []).append(item)
    for (program, omit), derived in kinds.items():
        parts: dict[str, float] = {}
        for item in derived:
            parts[item.model.name] = parts.get(item.model.name, 0.0) + shares.get((item.model.name, item.item), 0.0)
        listed = ", ".join(f"{share:.0%} ({model})" for model, share in parts.items()).replace("%", " %")
        if not shares:
            yield f"note: {program}: no entry asks for it. Without it: {omit}"
        elif max(parts.values()) >= NOTED_SHARE:
            yield f"note: {program}: no entry asks for it, and it takes about {listed} of the time. Without it: {omit}"


def _list_never_ended(plan: Plan) -> Iterator[str]:
    """Yield the items that run to their last sample although the suite lets items end early."""
    against = [gate for gate in (spec.parse() for spec in plan.suite.gates) if gate.drop is not None]
    for item in plan.items if plan.suite.stop is not None and not plan.suite.num_looks else ():
        if any(gate.concerns(item.model.name, item.item) for gate in against):
            yield f"note: {item.model.name}/{item.item}: it runs to its last sample: {ONLY_AT_LOOKS}"


def plan_exit_code(plan: Plan) -> int:
    """That of the run: something is impossible, or nothing of a task can be used."""
    if plan.impossible:
        return CapabilityError.exit_code
    return IncompleteRun.exit_code if any(task.num_unusable == len(task.samples) for task in _list_tasks(plan)) else 0


def _list_tasks(plan: Plan) -> list[PlannedTask]:
    """The tasks that something runs on, each once."""
    return list({item.task.name: item.task for item in plan.items}.values())
