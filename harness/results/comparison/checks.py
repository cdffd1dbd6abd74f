"""Whether two sides can be compared: the same data, prompts, metrics, threats and seeds."""

from __future__ import annotations

from ...scorecard.counterparts import list_differences
from .sides import Side


def list_mismatches(baseline: Side, candidate: Side, /) -> list[str]:
    """Return one sentence per item whose numbers measure different things on the two sides."""
    found = ((key, list_differences(baseline.items[key], facts)) for key, facts in candidate.items.items() if key in baseline.items)
    return [f"{key}: different {', '.join(differing)}" for key, differing in found if differing]


def list_lone_items(baseline: Side, candidate: Side, /) -> list[str]:
    """Return one sentence per side about the items that only it has."""
    lines = []
    for side, other in ((baseline, candidate), (candidate, baseline)):
        if lone := [str(key) for key in side.items if key not in other.items]:
            lines.append(f"only {side.name} has {', '.join(lone)}")
    return lines
