"""The rows of all items of a run, computed from its records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..api.registry import Registry
from ..api.scorecard import Figure, Row, Scorecard
from ..items.base.kind import ItemKind
from ..items.base.results import RunResults
from ..items.kinds import list_kinds
from ..scorecard.columns import Table
from ..scorecard.gates import Gate, lacks_scores
from ..scorecard.gates.early_stop import ANY_TIME, bound_early
from ..store import Store, StoredItem
from .costs import compute_rates, make_cost_rows, make_time_rows
from .failures import Failures
from .item_rows import UNKNOWN, is_decided, make_item_rows


@dataclass
class RunRows:
    """The rows of a run and what was noticed while they were computed (`compute_run_rows`).

    ``results``: the items with their rows: those of single items, then those about several.
    ``registry``: the metrics and the kinds of items. ``suite``: the recorded suite. ``gates``: its gates.
    ``baseline``: the one that the run folder keeps, which decides whether items ended early; needed only if gates compare with it.
    ``keep``: returns the row to keep of a computed one, for instance without its evidence.

    ``figures``: the data of charts that rows do not hold. ``times``: rows about time.
    ``timing``: by MODEL/ITEM, rates of the item.
    ``flags``: sentences about items with failed or unscored samples. ``num_failed``: the failed samples.
    ``first_error``: the error of the first of them: ``MODEL/ITEM: ERROR``.
    ``failures``: those of each item, by its id.
    ``ended``: the ids of items that ended early because their gates were decided.
    ``complete``: whether every planned item has all its records, or ended early.
    ``mostly_failed``: whether an item failed on most of its samples, so that the run must not pass.
    """

    results: RunResults
    registry: Registry
    suite: Mapping[str, Any]
    gates: Sequence[Gate]
    baseline: Scorecard | None
    keep: Callable[[Row], Row]
    figures: list[Figure] = field(default_factory=list)
    times: list[Row] = field(default_factory=list)
    timing: dict[str, dict[str, float]] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    num_failed: int = 0
    first_error: str = ""
    failures: dict[int, Failures] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    complete: bool = True
    mostly_failed: bool = False
    _counts: dict[int, int] = field(default_factory=dict)

    def add_item(self, item: StoredItem, /) -> None:
        """Compute the rows of an item."""
        kind, store = self.results.kinds.get(item.kind, UNKNOWN), self.results.store
        table, rows = make_item_rows(item, self.results, self.registry, self.suite, self.gates)
        if kind.counts_failures and table.notes["failed"]:
            self.num_failed += table.notes["failed"]
            self.first_error = self.first_error or f"{item.model}/{item.item}: {table.first_error}"
        self.failures[item.id] = Failures(*table.count_failed(kind.worked_on), table.first_error or "")
        self._check_end(item, table, rows)
        self.results.rows += map(self.keep, rows)
        self._note_failures(item, table, kind, rows)
        self.results.kept[item.id] = kind.keep(item, table)
        self.figures += kind.figures(item, table)
        counters = store.counters(item)
        self.results.rows += make_cost_rows(item, counters) if kind.has_costs else []
        chunks = store.chunks(item)
        self.times += map(self.keep, make_time_rows(item, chunks) if kind.has_costs else [])
        self.timing[f"{item.model}/{item.item}"] = compute_rates(table.num, counters, chunks)

    def add_joint_rows(self, kind: ItemKind, /) -> None:
        """Compute the rows of a kind about several items."""
        known = set(map(id, self.results.rows))
        rows = kind.joint_rows(self.results, self.results.rows)
        if self.ended:
            rows = [row if id(row) in known else bound_early(row, ANY_TIME) for row in rows]
        self.results.rows = list(map(self.keep, rows))
        self._note_unscored([row for row in rows if id(row) not in known])

    def _check_end(self, item: StoredItem, table: Table, rows: Sequence[Row]) -> None:
        """Find out whether the item has all its records. An item that rests on one that ended early has as many as that one."""
        expected = min([item.num_samples, *(self._counts[base] for base in item.facts["rests_on"] if base in self.ended)])
        if table.num < expected and is_decided(item, table.num, rows, self.suite, self.gates, self.baseline):
            self.ended.add(item.id)
        self._counts[item.id] = table.num
        self.complete &= item.id in self.ended or table.num >= expected

    def _note_failures(self, item: StoredItem, table: Table, kind: ItemKind, rows: Sequence[Row]) -> None:
        if sentence := _describe_failures(item, table, kind):
            self.flags.append(sentence)
            self.mostly_failed = True
        else:
            self._note_unscored(rows, table.first_error or table.unscored)

    def _note_unscored(self, rows: Iterable[Row], why: str = "") -> None:
        """Note each item of which a row has too many unscored samples to pass a gate. ``why``: the first error."""
        found: dict[tuple[str, str], Row] = {}
        for row in rows:
            if row.estimate.value is not None and lacks_scores(row, self.suite["max_unscored"]):
                worst = found.setdefault((row.model, row.item), row)
                found[row.model, row.item] = max(worst, row, key=lambda each: each.estimate.n_unscored)
        for row in found.values():
            num = row.estimate.n_unscored
            error = f"; the first error was: {why}" if why else f"; {row.estimate.reason}" if row.estimate.reason else ""
            self.flags.append(
                f"{row.model}/{row.item}: {num:,} of {num + row.estimate.n:,} samples have no {row.name}, more than 'max_unscored' allows, "
                f"so that no gate on it passes{error}"
            )


def compute_run_rows(
    store: Store, registry: Registry, suite: Mapping[str, Any], gates: Sequence[Gate], baseline: Scorecard | None, /,
    keep: Callable[[Row], Row],
) -> RunRows:  # fmt: skip
    """Compute the rows of all current items of a run. The parameters are those of `RunRows`."""
    items, kinds = store.items(), list_kinds(registry)
    computed = RunRows(RunResults(store, items, kinds), registry, suite, gates, baseline, keep)
    computed.complete = {(i.model, i.item, i.num_samples) for i in items} == {tuple(planned) for planned in suite["planned"]}
    for item in items:
        computed.add_item(item)
    for kind in kinds.values():
        computed.add_joint_rows(kind)
    return computed


def _describe_failures(item: StoredItem, table: Table, kind: ItemKind) -> str:
    """Return a sentence if most samples of an item failed; empty otherwise."""
    counts = table.mostly_failed(kind.worked_on)
    if counts is None:
        return ""
    failed, num = counts
    return (
        f"{item.model}/{item.item}: {failed:,} of {num:,} samples failed, more than half, so that its numbers decide nothing; "
        f"the first error was: {table.first_error}"
    )
