"""Slices that join an explanation with the same sample's correctness and its adversarial twin: computed from scores, no model needed.

``right_for_wrong_reason``: right, but none of the top words is marked, of as many words as people marked (``token_f1`` is 0).
``wrong_and_unfaithful``: wrong, and the explanation is no more comprehensive than its random control.
``flipped_explanation_unmoved``: the attack flipped the label, and the map of the explained class stayed (rank correlation at least
`UNMOVED`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...api.samples import Record
from ...store import Store, StoredItem

UNMOVED = 0.8
SLICES = {"probe": ("right_for_wrong_reason", "wrong_and_unfaithful"), "shift": ("flipped_explanation_unmoved",)}
"""By the kind of the item whose records they are of."""


def slices_of(kind: str, right: bool | None, scores: Mapping[str, float | None], /) -> dict[str, bool]:
    """Which slices a record of a probe or of its shift under attack is in. A slice that it could not be in is left out: those that are
    there are what a rate counts over. ``right``: whether the model was right on the sample; None where nobody knows."""
    found = {}
    if kind == "probe" and right and (overlap := scores.get("token_f1")) is not None:
        found["right_for_wrong_reason"] = overlap == 0
    if kind == "probe" and right is False:
        real, control = scores.get("comprehensiveness"), scores.get("comprehensiveness_random")
        if real is not None and control is not None:
            found["wrong_and_unfaithful"] = real <= control
    if kind == "shift" and scores.get("flipped") == 1 and (alike := scores.get("rank_correlation")) is not None:
        found["flipped_explanation_unmoved"] = alike >= UNMOVED
    return found


def is_right(item: StoredItem, record: Record, /) -> bool | None:
    """Of a task's record, by its primary score."""
    score = record.scores.get(item.facts["primary"])
    return None if score is None else score == 1


def sliced(store: Store, task: StoredItem, item: StoredItem, /) -> Iterator[tuple[Record, object, str | None]]:
    """A record a sample of the item that has the slices as scores, with its target and group, as `Store.joined` gives them."""
    # All items of a task begin with its first sample, and chunks are done in order.
    for (answer, target, group), (found, *_) in zip(store.join(task, ()), store.join(item, ()), strict=False):
        slices = slices_of(item.kind, is_right(task, answer), found.scores)
        yield Record(found.sample_id, item.item, {name: float(is_in) for name, is_in in slices.items()}), target, group


def with_task(items: Sequence[StoredItem], /) -> Iterator[tuple[StoredItem, StoredItem]]:
    """The items that have slices, each with the task that its samples are of, on the same model."""
    tasks = {(item.model, item.task): item for item in items if item.kind == "task"}
    return ((tasks[item.model, item.task], item) for item in items if item.kind in SLICES and (item.model, item.task) in tasks)
