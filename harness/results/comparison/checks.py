"""Whether two sides can be compared: the same data, prompts, metrics, threats and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...api.item_key import ItemKey
from .sides import Side

_WORDS: Mapping[str, str] = {
    "samples": "data", "definition of its task": "definition of the task, or its prompts", "code of its task": "code of the task",
    "metrics": "version of a metric", "scores": "list of scores", "code": "code of the attack or probe", "num_samples": "limit",
    "settings": "settings", "threat": "threat", "seed": "seed", "data_fingerprint": "data", "word data": "word data",
    "code of its kind": "code of the kind of item", "plugin": "version of the attack or probe",
}  # fmt: skip
"""What differs, in words, by the name of a fact of an item or of a part of its identity."""

_FACTS = ("num_samples", "data_fingerprint", "seed", "plugin")
_COUNTS = frozenset({"num_samples", "seed"})


def list_mismatches(baseline: Side, candidate: Side, /) -> list[str]:
    """Return one sentence per item whose numbers measure different things on the two sides."""
    common = [key for key in candidate.items if key in baseline.items]
    return [sentence for key in common for sentence in _describe(key, baseline.items[key], candidate.items[key])]


def list_lone_items(baseline: Side, candidate: Side, /) -> list[str]:
    """Return one sentence per side about the items that only it has."""
    lines = []
    for side, other in ((baseline, candidate), (candidate, baseline)):
        if lone := [str(key) for key in side.items if key not in other.items]:
            lines.append(f"only {side.name} has {', '.join(lone)}")
    return lines


def _describe(key: ItemKey, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[str]:
    """Yield one sentence about all that differs, if anything does."""
    identities = before.get("identity", {}), after.get("identity", {})
    names = [name for name in _FACTS if before.get(name) != after.get(name)]
    # Models differ on purpose; and what an item rests on is compared by itself.
    names += [name for name in _WORDS if name not in _FACTS and identities[0].get(name) != identities[1].get(name)]
    differing = dict.fromkeys(_WORDS[name] + (f" ({before[name]}, then {after[name]})" if name in _COUNTS else "") for name in names)
    if differing:
        yield f"{key}: different {', '.join(differing)}"
