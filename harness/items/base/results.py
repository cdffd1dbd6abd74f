"""The items and rows of a run while its scorecard is computed."""

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
    """The data for rows and flags about several items.

    ``kinds``: the kinds of items, by name.
    ``metrics``: by item id, the item's metrics by name, or the error of loading one.
    ``rows``: the rows computed so far.
    ``notes``: by item id, counts of records with special conditions (`Table.notes`).
    ``kept``: by item id, the result of `ItemKind.keep`.
    ``measures``: the meaning of the metrics of tasks, by `Row.metric`.
    ``judged``: the items whose answers were judged, with their tables.
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
        """Return the items of a kind."""
        return [item for item in self.items if item.kind == kind.name]

    def task_of(self, item: StoredItem, /) -> StoredItem | None:
        """Return the task's own item on the model of ``item``; None if there is none."""
        return next((i for i in self.items if i.key.is_task and (i.model, i.task) == (item.model, item.task)), None)

    def estimate(self, item: StoredItem, row: str, /) -> Estimate | None:
        """Return the estimate of the item's row with this name; None if there is no such row."""
        return next((r.estimate for r in self.rows if (r.model, r.key, r.name) == (item.model, item.key, row)), None)
