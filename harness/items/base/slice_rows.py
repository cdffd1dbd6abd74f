"""Slices that join an item's records with the model's plain answers: the share of samples in each, of those that could be in it."""

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
    """A row per slice that a sample of the item could be in."""
    task = results.task_of(item)
    if task is None:
        return []
    table = Table.of(_sliced(kind, results.store, task, item), None)
    return [
        make_mean_row(item, table, name, name, "interpretability", JOINED_SLICES[name], optional=True)
        for name in kind.slice_names
        if name in table.columns
    ]


def _sliced(kind: ItemKind, store: Store, task: StoredItem, item: StoredItem) -> Iterator[tuple[Record, object, str | None]]:
    """A record per sample of the item with the slices as scores, with its target and group, as `Store.joined` gives them."""
    # All items of a task begin with its first sample, and chunks are done in order.
    for (answer, target, group), (found, *_) in zip(store.join(task, ()), store.join(item, ()), strict=False):
        slices = kind.slices(is_right(task, answer), found.scores)
        yield Record(found.sample_id, item.item, {name: float(is_in) for name, is_in in slices.items()}), target, group
