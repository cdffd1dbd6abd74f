"""Groups attacks with a common threat into worst cases, and defines the keys of the worst cases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from ...api.item_key import ItemKey
from ...threats import is_bounded, is_wider, title_of

A = TypeVar("A")
KIND = "worst_case"


def group_attacks(attacks: Iterable[tuple[A, str, str, Any]], /) -> dict[tuple[str, ItemKey], list[A]]:
    """Group the attacks that form a worst case: two or more attacks within one threat on the same model and task.

    ``attacks``: (attack, model, task, threat) for each attack, with the threat from `threats.describe_threat`. An
    attack under a narrower threat also belongs to the wider threat, but not the reverse. A threat without a bound has
    no worst case.

    Returns the attacks by (model, key of the worst case). The key names the threat if the task is attacked under
    several.
    """
    listed = list(attacks)
    found: dict[tuple[str, ItemKey], list[A]] = {}
    for _, model, task, threat in listed:
        several = len({title_of(other) for _, _, on, other in listed if on == task}) > 1
        key = ItemKey(KIND, task, KIND, threat=title_of(threat) if several else "")
        members = [attack for attack, by, on, other in listed if (by, on) == (model, task) and is_wider(threat, other)]
        if is_bounded(threat) and len(members) > 1:
            found.setdefault((model, key), members)
    return found
