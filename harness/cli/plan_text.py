"""A plan as text and as JSON."""

from __future__ import annotations

from typing import Any

from ..api.errors import CapabilityError, IncompleteRun
from ..items.base.planned_item import PlannedTask
from ..plan.types import Plan


def plan_json(plan: Plan) -> dict[str, Any]:
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
            {"model": i.model.name, "item": i.item, "kind": i.kind.name, "num_samples": len(i.samples), "num_requests": i.num_requests}
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


def plan_text(plan: Plan) -> str:
    lines = []
    for model in plan.models:
        lines.append(f"{model.name}  ({model.spec.model})")
        labels = f"; labels: {', '.join(model.info.labels)}" if model.info.labels else ""
        lines.append(f"  answers {model.info}{labels}")
        for item in plan.items:
            if item.model.name == model.name:
                requests = "as the search goes" if item.num_requests is None else f"{item.num_requests:,} requests"
                lines.append(f"  {item.item:<44} {len(item.samples):>7,} samples   {requests}")
        lines += [f"  not {s.item}: {s.reason}" for s in plan.skipped if s.model == model.name]
    for task in _list_tasks(plan):
        lines += [f"data of {task.name}: {note}" for note in task.notes]
        lines += [f"note: {task.name}: {caution}" for caution in task.cautions]
    lines += [f"impossible: {sentence}" for sentence in plan.impossible]
    return "\n".join(lines)


def plan_exit_code(plan: Plan) -> int:
    """That of the run: something is impossible, or nothing of a task can be used."""
    if plan.impossible:
        return CapabilityError.exit_code
    return IncompleteRun.exit_code if any(task.num_unusable == len(task.samples) for task in _list_tasks(plan)) else 0


def _list_tasks(plan: Plan) -> list[PlannedTask]:
    """The tasks that something runs on, each once."""
    return list({item.task.name: item.task for item in plan.items}.values())
