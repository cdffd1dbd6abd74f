"""A run's items and rows while its scorecard is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...api.scorecard import Estimate, Measure, Row
from ...store import Store, StoredItem

if TYPE_CHECKING:
    from ...metrics.base import Metric
    from ...scorecard.columns import Table
    from .kind import ItemKind


@dataclass
class RunResults:
    """What rows and flags about several items are made from.

    ``kinds``: by name. ``metrics``: of each item (by id) its own metrics by name, or why one cannot be loaded. ``rows``: those made so far.
    ``notes``: of each item (by id) how many of its records there is something to say of (`Table.notes`). ``kept``: of each item (by id)
    what its kind keeps of its table. ``measures``: what the metrics of tasks
    measure, by `Row.metric`. ``judged``: the items whose answers were judged, with their tables.
    """

    store: Store
    items: Sequence[StoredItem]
    kinds: Mapping[str, ItemKind]
    metrics: dict[int, Mapping[str, Metric | str]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    notes: dict[int, Mapping[str, int]] = field(default_factory=dict)
    kept: dict[int, object] = field(default_factory=dict)
    measures: dict[str, Measure] = field(default_factory=dict)
    judged: list[tuple[StoredItem, Table]] = field(default_factory=list)

    def of_kind(self, kind: ItemKind, /) -> list[StoredItem]:
        return [item for item in self.items if item.kind == kind.name]

    def task_of(self, item: StoredItem, /) -> StoredItem | None:
        """The item of the task itself that the item is about, on the same model."""
        return next((i for i in self.items if i.key.is_task and (i.model, i.task) == (item.model, item.task)), None)

    def estimate(self, item: StoredItem, row: str, /) -> Estimate | None:
        """The estimate of the item's row of this name, where it has one."""
        return next((r.estimate for r in self.rows if (r.model, r.key, r.name) == (item.model, item.key, row)), None)
