"""Rows of explanation shift."""

from __future__ import annotations

from ...api.scorecard import Row
from ...scorecard.columns import Table
from ...scorecard.controls import make_difference_row
from ...scorecard.mean_rows import make_mean_row
from ...scorecard.names import BETWEEN_CLASSES, CONTROLS, LIKENESS
from ...store import StoredItem


def make_shift_rows(item: StoredItem, table: Table) -> list[Row]:
    """Return the rows of an item, separately for twins with a flipped label and twins that kept it."""
    flipped_N = table.given("flipped")
    flipped_N[flipped_N] = table.values("flipped", flipped_N) == 1
    parts = {"label_flipped": flipped_N, "label_kept": table.given("flipped") & ~flipped_N}
    rows = [
        make_mean_row(
            item,
            table,
            f"{name}{end}",
            name,
            "interpretability",
            None,
            optional=True,
            among_N=part_N,
            slice=part,
            control=end[1:],
        )
        for end in ("", *CONTROLS, "_of_prediction")
        for name in LIKENESS
        for part, part_N in parts.items()
        if not end or (table.given(f"{name}{end}") & part_N).any()
    ]
    rows += [
        make_difference_row(item, table, name, f"{name}{control}", name, None, part_N, control=control[1:], slice=part)
        for control in CONTROLS
        for name in LIKENESS
        for part, part_N in parts.items()
        if (table.given(f"{name}{control}") & part_N).any()
    ]
    others = [name for name in (BETWEEN_CLASSES, "aligned_share") if name == "aligned_share" or table.given(name).any()]
    return [*rows, *(make_mean_row(item, table, name, name, "interpretability", None, optional=True) for name in others)]
