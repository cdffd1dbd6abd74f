"""A plan as text and as JSON."""

from __future__ import annotations

from typing import Any

from ..planned import Plan


def plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "suite": plan.suite.name,
        "identity": plan.suite.identity(),
        "models": [
            {"name": m.name, "model": m.spec.model, "capabilities": sorted(m.info.capabilities), "labels": list(m.info.labels)}
            for m in plan.models
        ],
        "items": [
            {"model": i.model.name, "item": i.item, "kind": i.kind, "num_samples": len(i.samples), "num_requests": i.num_requests}
            for i in plan.items
        ],
        "skipped": [{"model": s.model, "item": s.item, "reason": s.reason} for s in plan.skipped],
        "impossible": list(plan.impossible),
    }


def plan_text(plan: Plan) -> str:
    lines = []
    for model in plan.models:
        lines.append(f"{model.name}  ({model.spec.model})")
        lines.append(
            f"  can: {', '.join(sorted(model.info.capabilities))}"
            + (f"; labels: {', '.join(model.info.labels)}" if model.info.labels else "")
        )
        for item in plan.items:
            if item.model.name == model.name:
                requests = "as the search goes" if item.num_requests is None else f"{item.num_requests:,} requests"
                lines.append(f"  {item.item:<44} {len(item.samples):>7,} samples   {requests}")
        lines += [f"  not {s.item}: {s.reason}" for s in plan.skipped if s.model == model.name]
    lines += [f"impossible: {sentence}" for sentence in plan.impossible]
    return "\n".join(lines)
