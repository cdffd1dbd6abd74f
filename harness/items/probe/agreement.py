"""Measure how well two probes agree on the same samples of one model, from their records alone.

The same probe twice, with another seed and its own ``name``, measures how much an explanation depends on the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ...api.samples import Record
from ...store import Store, StoredItem
from .faithfulness.ranks import compute_top_overlap, rank_correlation

_KEPT = {"attribution", "continuation"}


def probe_pairs(items: Sequence[StoredItem], /) -> Iterator[tuple[StoredItem, StoredItem]]:
    """Yield each pair of probes of one model on one task once, in the order of the run."""
    probes = [item for item in items if item.key.seed == 1]
    return ((a, b) for a, b in combinations(probes, 2) if (a.model, a.task) == (b.model, b.task))


def compare_probes(store: Store, first: StoredItem, second: StoredItem, /) -> Iterator[tuple[Record, Any, str | None]]:
    """Yield (record, target, group), as `Store.join` does, for each sample that both probes explain comparably, or that one fails on.

    The explanations are comparable if they have the same parts and the same class. The scores of a record are the rank
    correlation and the top overlap of the two.
    """
    name = second.key.title
    # Both items start with the first sample of the task, and chunks run in order.
    for (a, target, group), (b, *_) in zip(store.join(first, _KEPT), store.join(second, _KEPT), strict=False):
        one, two = a.artifacts.get("attribution"), b.artifacts.get("attribution")
        same = a.sample_id == b.sample_id and a.artifacts.get("continuation") == b.artifacts.get("continuation")
        if error := a.error or b.error:
            yield Record(a.sample_id, first.item, {}, error), target, group
        elif same and one and two and one["target"] == two["target"] and one["spans"] == two["spans"]:
            x, y = (np.asarray(found["values"], dtype=np.float64).reshape(-1) for found in (one, two))
            scores = {f"rank_correlation_with_{name}": rank_correlation(x, y), f"top_overlap_with_{name}": compute_top_overlap(x, y)}
            yield Record(a.sample_id, first.item, scores), target, group


def seed_groups(items: Sequence[StoredItem], /) -> Iterator[list[StoredItem]]:
    """Yield each repeated probe together with its repetitions."""
    for first in items:
        members = [item for item in items if (item.model, item.key.first) == (first.model, first.key)]
        if len(members) > 1:
            yield members


def compare_seeds(store: Store, members: Sequence[StoredItem], /) -> Iterator[tuple[Record, Any, str | None]]:
    """Yield (record, target, group) per sample; the scores are the means over all comparable pairs of seeds.

    members: the item and its repetitions with other seeds. Two attributions are comparable if they have the same parts
        and the same class. A score without such a pair is None.
    """
    for rows in zip(*(store.join(member, {"attribution"}) for member in members), strict=False):
        record, target, group = rows[0]
        found = [kept for row in rows if (kept := row[0].artifacts.get("attribution"))]
        pairs = [
            [np.asarray(one["values"], dtype=np.float64).reshape(-1) for one in pair]
            for pair in combinations(found, 2)
            if pair[0]["target"] == pair[1]["target"] and pair[0]["spans"] == pair[1]["spans"]
        ]
        alike = [value for x, y in pairs if (value := rank_correlation(x, y)) is not None]
        scores = {
            "rank_correlation_between_seeds": float(np.mean(alike)) if alike else None,
            "top_overlap_between_seeds": float(np.mean([compute_top_overlap(x, y) for x, y in pairs])) if pairs else None,
        }
        yield Record(record.sample_id, members[0].item, scores), target, group
