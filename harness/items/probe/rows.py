"""Records of probes, and of what rests on their attributions, to rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...api.scorecard import Row
from ...scorecard.columns import Table
from ...scorecard.controls import control_rows, difference_row
from ...scorecard.mean_rows import mean_row
from ...scorecard.names import AGREEMENT, BETWEEN_CLASSES, CONTROLS, FAITHFULNESS, JOINED_SLICES, SEEDS, SHIFT, minus
from ...store import Store, StoredItem
from .agreement import agreements, between_seeds, probe_pairs, seed_groups
from .slices import SLICES, sliced, with_task


def probe_rows(item: StoredItem, table: Table) -> list[Row]:
    """A score that was called for and no sample has is shown where its control or its failure says that it should be there."""
    wanted = [family for name, family in FAITHFULNESS.items() if name in item.facts["scores"]]
    everything_failed = table.num == table.notes["failed"]
    rows = []
    for name, higher in [pair for family in wanted for pair in family.items()] + [("completeness_error", False)]:
        if name in table.columns or (everything_failed and name == next((n for family in wanted for n in family), "")):
            rows.append(mean_row(item, table, name, name, "interpretability", higher, optional=True))
        rows += [
            mean_row(item, table, f"{name}{c}", f"{name}{c}", "interpretability", None, optional=True)
            for c in CONTROLS
            if f"{name}{c}" in table.columns
        ]
    return [*rows, *control_rows(item, table, {name: higher for family in wanted for name, higher in family.items()})]


def agreement_rows(store: Store, items: Sequence[StoredItem]) -> Iterable[Row]:
    for first, second in probe_pairs(items):
        table = Table.of(agreements(store, first, second), None)
        names = [f"{beginning}{second.program}" for beginning in AGREEMENT]
        yield from (mean_row(first, table, name, name, "interpretability", None, optional=True) for name in names if name in table.columns)
    for members in seed_groups(items):
        table = Table.of(between_seeds(store, members), None)
        yield from (mean_row(members[0], table, name, name, "interpretability", None, optional=True) for name in SEEDS)


def shift_rows(item: StoredItem, table: Table) -> list[Row]:
    """Apart for twins whose label flipped and twins that kept it."""
    flipped_N = table.given("flipped")
    flipped_N[flipped_N] = table.values("flipped", flipped_N) == 1
    parts = {"label_flipped": flipped_N, "label_kept": table.given("flipped") & ~flipped_N}
    rows = [
        mean_row(
            item,
            table,
            f"{name}{end}",
            f"{name}{end}[{part}]",
            "interpretability",
            None,
            optional=True,
            among_N=part_N,
        )
        for end in ("", *CONTROLS, "_of_prediction")
        for name in SHIFT
        for part, part_N in parts.items()
        if not end or (table.given(f"{name}{end}") & part_N).any()
    ]
    rows += [
        difference_row(item, table, name, f"{name}{control}", f"{minus(name, control)}[{part}]", None, part_N)
        for control in CONTROLS
        for name in SHIFT
        for part, part_N in parts.items()
        if (table.given(f"{name}{control}") & part_N).any()
    ]
    others = [name for name in (BETWEEN_CLASSES, "aligned_share") if name == "aligned_share" or table.given(name).any()]
    return [*rows, *(mean_row(item, table, name, name, "interpretability", None, optional=True) for name in others)]


def slice_rows(store: Store, items: Sequence[StoredItem]) -> Iterable[Row]:
    """How many samples are in each slice, of those that could be."""
    for task, item in with_task(items):
        table = Table.of(sliced(store, task, item), None)
        yield from (
            mean_row(item, table, name, name, "interpretability", JOINED_SLICES[name], optional=True)
            for name in SLICES[item.kind]
            if name in table.columns
        )
