"""Gates that no run could answer are errors of the plan."""

from __future__ import annotations

from collections.abc import Sequence

from ..api.errors import ConfigError
from ..api.registry import Registry
from ..items.base.planned_item import PlannedItem
from ..scorecard.gates import Gate


def check_gate(gate: Gate, items: Sequence[PlannedItem], registry: Registry) -> None:
    """Raise a `ConfigError` for a gate that could never be answered, now and not after the run. ``items``: those without a run of their
    own included."""
    about = [item for item in items if gate.concerns(item.model.name, item.item)]
    if any(item.kind.can_have_row(item, gate.metric) for item in about):
        return
    # Metrics are loaded for this, and with them torch: only a name that no kind knows at once gets here.
    rows = {id(item): item.kind.rows_of(item, items, registry) for item in about}
    names = [(item.model.name, item.item, row) for item in items for row in rows.get(id(item), ("",))]
    if not any(gate.metric == row for own in rows.values() for row in own):
        raise ConfigError(f"gate {gate.text!r}: {gate.nothing(names)}")
