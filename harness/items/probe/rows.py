"""Rows of probes, computed from their records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...api.scorecard import Row
from ...scorecard.columns import Table
from ...scorecard.controls import make_control_rows
from ...scorecard.mean_rows import make_mean_row
from ...scorecard.names import BETWEEN_SEEDS, CONTROLS, FAITHFULNESS, LIKENESS
from ...store import Store, StoredItem
from .agreement import compare_probes, compare_seeds, probe_pairs, seed_groups


def make_probe_rows(item: StoredItem, table: Table) -> list[Row]:
    """Return the rows of a probe: the mean of each score, of its controls, and of the differences to the controls.

    A requested score without a value in any record gets no row of its own. If all samples failed, the first requested
    score has a row nevertheless, which shows the failure.
    """
    wanted = [family for name, family in FAITHFULNESS.items() if name in item.facts["scores"]]
    everything_failed = table.num == table.notes["failed"]
    rows = []
    for name, higher in [pair for family in wanted for pair in family.items()] + [("completeness_error", False)]:
        if name in table.columns or (everything_failed and name == next((n for family in wanted for n in family), "")):
            rows.append(make_mean_row(item, table, name, name, "interpretability", higher, optional=True))
        rows += [
            make_mean_row(item, table, f"{name}{c}", name, "interpretability", None, optional=True, control=c[1:])
            for c in CONTROLS
            if f"{name}{c}" in table.columns
        ]
    return [*rows, *make_control_rows(item, table, {name: higher for family in wanted for name, higher in family.items()})]


def make_agreement_rows(store: Store, probes: Sequence[StoredItem]) -> Iterable[Row]:
    """Yield the rows about the agreement of each pair of probes, and of each probe's repetitions with other seeds.

    probes: the run's items of this kind, in order.
    """
    for first, second in probe_pairs(probes):
        table = Table.of(compare_probes(store, first, second), None)
        yield from _make_similarity_rows(first, table, f"with_{second.key.title}")
    for members in seed_groups(probes):
        yield from _make_similarity_rows(members[0], Table.of(compare_seeds(store, members), None), BETWEEN_SEEDS)


def _make_similarity_rows(item: StoredItem, table: Table, control: str) -> Iterable[Row]:
    """Yield the mean of each similarity score. ``control``: ending of the score names."""
    for name in LIKENESS:
        column = f"{name}_{control}"
        if column in table.columns or control == BETWEEN_SEEDS:
            yield make_mean_row(item, table, column, name, "interpretability", None, optional=True, control=control)
