"""Rows for slices that combine an item's records with the model's clean answers: the share of samples in each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...api.samples import Record
from ...api.scorecard import Row
from ...scorecard.columns import Table
from ...scorecard.mean_rows import make_mean_row
from ...scorecard.names import JOINED_SLICES
from ...store import Store, StoredItem
from .results import RunResults
from .view import is_right

if TYPE_CHECKING:
    from .kind import ItemKind


def make_slice_rows(kind: ItemKind, item: StoredItem, results: RunResults, /) -> list[Row]:
    """Return one row per slice that applies to a sample of the item."""
    task = results.task_of(item)
    if task is None:
        return []
    table = Table.of(_join_slices(kind, results.store, task, item), None)
    return [
        make_mean_row(item, table, name, name, "interpretability", JOINED_SLICES[name], optional=True)
        for name in kind.slice_names
        if name in table.columns
    ]


def _join_slices(kind: ItemKind, store: Store, task: StoredItem, item: StoredItem) -> Iterator[tuple[Record, object, str | None]]:
    """Yield (record, target, group) for each sample, as `Store.join` does, with the slices as the record's scores."""
    # All items of a task start with its first sample, and chunks are finished in order.
    for (answer, target, group), (record, *_) in zip(store.join(task, ()), store.join(item, ()), strict=False):
        slices = kind.slices(is_right(task, answer), record.scores)
        scores = {name: float(is_in) for name, is_in in slices.items()}
        yield Record(record.sample_id, item.item, scores, record.error or answer.error), target, group
