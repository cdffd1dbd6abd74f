"""The table of kinds of items: those of the harness, and those of plugins."""

from __future__ import annotations

from collections.abc import Mapping

from ..api.errors import ConfigError
from ..api.registry import Registry
from .attack.kind import AttackItems
from .base.kind import ItemKind
from .drift.kind import DriftItems
from .probe.kind import ProbeItems
from .reliance.kind import RelianceItems
from .shift.kind import ShiftItems
from .task.kind import TaskItems
from .transfer.kind import TransferItems
from .worst_case.kind import WorstCaseItems

KINDS: tuple[ItemKind, ...] = (
    TaskItems(), DriftItems(), AttackItems(), ProbeItems(), TransferItems(), ShiftItems(), RelianceItems(), WorstCaseItems(),
)  # fmt: skip
"""In the order in which the items of a model run: an item comes after those that it rests on."""

ROWS: Mapping[str, frozenset[str]] = {kind.name: kind.stems() for kind in KINDS}
"""The names of the rows that an item of each kind can have, beside a task's own metrics and without what stands in brackets."""


def list_kinds(registry: Registry, /) -> Mapping[str, ItemKind]:
    """All kinds by name, the harness's own first, in their order. Raises `ConfigError` for a plugin that is none."""
    kinds = {kind.name: kind for kind in KINDS}
    for name in registry.names("items"):
        kind = registry.make("items", name)
        if not isinstance(kind, ItemKind):
            raise ConfigError(f"the kind of items {name!r} is a {type(kind).__name__}: derive its class from windtunnel.ItemKind")
        if name in kinds:
            raise ConfigError(f"the kind of items {name!r} is one of Windtunnel's own; give the plugin another name")
        kind.name = name  # type: ignore[misc]
        kinds[name] = kind
    return kinds
