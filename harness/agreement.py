"""How far two probes agree that ran on the same samples of one model: computed from their records, no model needed.

The same probe twice, with another seed and a ``name`` of its own, says how much of an explanation is its draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from .faithfulness.ranks import rank_correlation, top_overlap
from .samples import Record
from .store import Store, StoredItem


def probe_pairs(items: Sequence[StoredItem], /) -> Iterator[tuple[StoredItem, StoredItem]]:
    """Probes of one model on one task, each pair once, in the order of the run."""
    probes = [item for item in items if item.kind == "probe"]
    return ((a, b) for a, b in combinations(probes, 2) if (a.model, a.task) == (b.model, b.task))


def agreements(store: Store, first: StoredItem, second: StoredItem, /) -> Iterator[tuple[Record, Any, str | None]]:
    """A record a sample that both explained by the same parts and for the same class, as `Store.joined` gives them."""
    name = second.program
    # Both began with the first sample of the task, and chunks are done in order.
    for (a, target, group), (b, *_) in zip(store.joined(first, {"attribution"}), store.joined(second, {"attribution"}), strict=False):
        one, two = a.artifacts.get("attribution"), b.artifacts.get("attribution")
        if a.sample_id == b.sample_id and one and two and one["target"] == two["target"] and one["spans"] == two["spans"]:
            x, y = (np.asarray(found["values"], dtype=np.float64).reshape(-1) for found in (one, two))
            scores = {f"rank_correlation_with_{name}": rank_correlation(x, y), f"top_overlap_with_{name}": top_overlap(x, y)}
            yield Record(a.sample_id, first.item, scores), target, group
