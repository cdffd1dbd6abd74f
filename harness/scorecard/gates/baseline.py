"""Rows beside those of a baseline: which ones belong together, and whether they can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...api.scorecard import Row, Scorecard
from ..names import EXACT

if TYPE_CHECKING:
    from ...statistics import Difference

_ALIKE = {
    "data_fingerprint": "other data", "num_samples": "another number of samples", "threat": "another threat", "settings": "other settings",
}  # fmt: skip
"""Facts of an item that must be equal, with the words for unequal ones."""


def find_counterpart(row: Row, card: Scorecard, baseline: Scorecard, /) -> Row | None:
    """Return the baseline's row with the same item and name, of the same model; None if it has none.

    Two runs with one model each for this row are compared whatever the models are called.
    """
    same = [other for other in (*baseline.rows, *baseline.times) if (other.key, other.name) == (row.key, row.name)]
    named = [other for other in same if other.model == row.model]
    if named:
        return named[0]
    rivals = [other for other in (*card.rows, *card.times) if (other.key, other.name) == (row.key, row.name)]
    return same[0] if len(same) == len(rivals) == 1 else None


def compare_rows(row: Row, other: Row, card: Scorecard, baseline: Scorecard, /) -> Difference:
    """Return the row's number minus the baseline's, paired by sample; without a value if they cannot be compared."""
    from ...statistics import Difference, compare_evidence, get_evidence

    if unlike := list_unlike(_find_item(card, row), _find_item(baseline, other)):
        return Difference(None, reason=f"the baseline cannot be compared: it has {', '.join(unlike)}")
    first, second = get_evidence(row), get_evidence(other)
    if first is not None and second is not None:
        return compare_evidence(first, second)
    value, base = row.estimate.value, other.estimate.value
    if row.name in EXACT and value is not None and base is not None:
        return Difference(value - base, n=row.estimate.n)
    return Difference(None, reason="the samples behind this number are not known in both runs, so that they cannot be paired")


def list_unlike(one: Mapping[str, Any], two: Mapping[str, Any], /) -> list[str]:
    """Return what keeps two items from being compared, in words. ``one``, ``two``: their entries in `Scorecard.manifest`."""
    return [words for fact, words in _ALIKE.items() if one.get(fact) != two.get(fact)]


def _find_item(card: Scorecard, row: Row) -> Mapping[str, Any]:
    items = card.manifest.get("items", ())
    return next((item for item in items if (item["model"], item["item"]) == (row.model, row.item)), {})
