"""Checks the gates of a suite against the rows that its items can have."""

from __future__ import annotations

from collections.abc import Sequence

from ..api.errors import ConfigError
from ..api.registry import Registry
from ..items.base.planned_item import PlannedItem
from ..scorecard.gates import Gate


def check_gate(gate: Gate, items: Sequence[PlannedItem], registry: Registry) -> None:
    """Check before the run that at least one item can have the gate's row. Raises `ConfigError` otherwise.

    ``items``: all planned items, including those that are computed from the records of other items.
    """
    about = [item for item in items if gate.concerns(item.model.name, item.item)]
    if any(item.kind.can_have_row(item, gate.metric) for item in about):
        return
    # `rows_of` loads metrics, which import torch, so this step is reached only by names that no kind recognises.
    rows = {id(item): item.kind.rows_of(item, items, registry) for item in about}
    names = [(item.model.name, item.item, row) for item in items for row in rows.get(id(item), ("",))]
    if not any(gate.metric == row for own in rows.values() for row in own):
        raise ConfigError(f"gate {gate.text!r}: {gate.nothing(names)}")
