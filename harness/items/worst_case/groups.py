"""Which attacks have a worst case together, and its key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from ...api.item_key import ItemKey
from ...threats import includes, is_bounded, title_of

A = TypeVar("A")
KIND = "worst_case"


def group_attacks(attacks: Iterable[tuple[A, str, str, Any]], /) -> dict[tuple[str, ItemKey], list[A]]:
    """Attacks that have a worst case together: for each threat on a task of a model, those that keep to it, where these are more than one.

    ``attacks``: each with its model, its task and its threat from `threats.describe_threat`. An attack that may change less counts for a
    wider threat, too, never the other way. Returns them by model and by the worst case's key, which names the threat where the task is
    attacked under several.
    """
    listed = list(attacks)
    found: dict[tuple[str, ItemKey], list[A]] = {}
    for _, model, task, threat in listed:
        several = len({title_of(other) for _, _, on, other in listed if on == task}) > 1
        key = ItemKey(KIND, task, KIND, threat=title_of(threat) if several else "")
        members = [attack for attack, by, on, other in listed if (by, on) == (model, task) and includes(threat, other)]
        if is_bounded(threat) and len(members) > 1:
            found.setdefault((model, key), members)
    return found
