"""Choose the headline row of an item: the one number that stands for it where there is room for only one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..api.scorecard import Row

HEADLINES: Mapping[str, tuple[str, ...]] = {
    "quality": ("accuracy", "bits_per_byte", "acc", "exact_match"),
    "calibration": ("ece", "log_loss", "brier"),
    "robustness": ("robust_accuracy", "attack_success_rate"),
    "interpretability": ("comprehensiveness", "aopc", "token_f1", "rank_correlation", "accuracy_without_carriers"),
}
"""The metrics that stand for a dimension, the best first."""


def choose_headline(rows: Iterable[Row], dimension: str = "", /) -> Row | None:
    """Return the row that stands for an item: one of `HEADLINES`, otherwise its first row without control that has a value.

    A row over all samples comes before rows of slices and labels.
    rows: the rows of one item of one model, in the order of the scorecard.
    dimension: the dimension to stand for; by default that of the item's first row that is not about costs.
    Returns None if there is no such row.
    """
    own = [row for row in rows if not row.control and (row.dimension == dimension if dimension else row.dimension != "efficiency")]
    own = sorted((row for row in own if row.dimension == own[0].dimension), key=lambda row: bool(row.slice or row.about))
    chosen = HEADLINES.get(own[0].dimension, ()) if own else ()
    best = (row for metric in chosen for row in own if row.metric == metric)
    scored = (row for row in own if row.estimate.value is not None)
    return next(best, next(scored, own[0] if own else None))


def choose_headlines(rows: Iterable[Row], dimension: str = "", /) -> list[Row]:
    """Return the headline row of each item of each model, in the order of the scorecard; items without one are left out."""
    items: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        items.setdefault((row.model, row.item), []).append(row)
    found = (choose_headline(own, dimension) for own in items.values())
    return [row for row in found if row is not None]
