"""The share of each item in the work of a run, as far as it is known before the run."""

from __future__ import annotations

from collections.abc import Sequence

from ..items.base.planned_item import PlannedItem


def share_work(items: Sequence[PlannedItem], /) -> dict[tuple[str, str], float]:
    """Return the rough share of each item in the work of all, by model and item.

    The work is the positions that the item's samples have, times the effort of its kind (`ItemKind.effort`). It can be wrong by a
    factor of a few: the passes of an attack depend on the answers.
    """
    work = {(item.model.name, item.item): _measure_work(item) for item in items}
    total = sum(work.values()) or 1.0
    return {key: amount / total for key, amount in work.items()}


def share_work_per_model(items: Sequence[PlannedItem], /) -> dict[tuple[str, str], float]:
    """Return the rough share of each item in the work of its model: what a position costs differs between models."""
    models = dict.fromkeys(item.model.name for item in items)
    return {key: share for name in models for key, share in share_work([i for i in items if i.model.name == name]).items()}


def _measure_work(item: PlannedItem) -> float:
    return float(sum(item.task.positions[: len(item.samples)]) * item.kind.effort)
