"""The table and the rows of one item, computed from its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..api.errors import UserError
from ..api.registry import Registry
from ..api.scorecard import Row, Scorecard
from ..items.base.kind import ItemKind
from ..items.base.results import RunResults
from ..items.kinds import list_kinds
from ..metrics.base import Metric, make_metric
from ..scorecard.columns import NOTED, Table
from ..scorecard.gates import Gate, parse_entry
from ..scorecard.gates.early_stop import Stage, are_decided, bound_early, select_decisive
from ..scorecard.headlines import choose_headline
from ..store import FILE_NAME, Store, StoredItem, codec
from .manifest import describe_item


class UnknownKind(ItemKind):
    """A kind of a plugin that is not loaded. It has only the rows about costs."""

    name = ""
    counts_failures = False


UNKNOWN = UnknownKind()


def parse_gates(suite: Mapping[str, Any], /) -> list[Gate]:
    """Return the gates of a recorded suite."""
    return [parse_entry(entry) for entry in suite["gates"]]


def make_item_rows(
    item: StoredItem, results: RunResults, registry: Registry, suite: Mapping[str, Any], gates: Sequence[Gate], /
) -> tuple[Table, list[Row]]:  # fmt: skip
    """Return the item's records as columns, and its rows with their evidence.

    ``results``: receives the item's metrics and the counts of its records.
    ``suite``: the recorded suite. ``gates``: its gates.
    """
    kind = results.kinds.get(item.kind, UNKNOWN)
    metrics = _load_metrics(item, registry, suite["plugin_files"])
    columns = kind.columns(metrics)
    table = Table.of(results.store.join(item, {*NOTED, *(columns or ()), *kind.artifacts}), columns, kind.artifacts)
    results.metrics[item.id], results.notes[item.id] = metrics, table.notes
    rows = kind.rows(item, table, results)
    if suite.get("stop") and select_decisive(gates, item.model, item.item, item.facts["looks"]):
        rows = [bound_early(row, find_stage(item, table.num)) for row in rows]
    return table, rows


def compute_headline(folder: Path, model: str, item: str, registry: Registry) -> Row | None:
    """Compute the headline row of a finished item while its run goes on; None if only rows about several items describe it.

    ``folder``: the run folder. ``registry``: the plugins of the run.
    """
    store = Store.open(folder / FILE_NAME, readonly=True, checked=False)
    try:
        stored, suite = store.current(model, item), codec.loads(store.suite)
        if stored is None:
            return None
        results = RunResults(store, store.items(), list_kinds(registry))
        _, rows = make_item_rows(stored, results, registry, suite, parse_gates(suite))
        return choose_headline(rows)
    finally:
        store.close()


def find_stage(item: StoredItem, num: int, /) -> Stage:
    """Return how far an item is. ``num``: the number of its records."""
    return Stage(num, item.num_samples, item.facts["looks"])


def is_decided(
    item: StoredItem, num: int, rows: Sequence[Row], suite: Mapping[str, Any], gates: Sequence[Gate], baseline: Scorecard | None, /
) -> bool:  # fmt: skip
    """Tell whether the item may end before its last sample, because all its gates are decided.

    ``num``: the number of its records. ``baseline``: the one that the run folder keeps. The others are those of `make_item_rows`.
    """
    if not suite.get("stop") or not find_stage(item, num).is_look:
        return False
    card = Scorecard({"items": [describe_item(item)]}, tuple(rows), max_unscored=suite["max_unscored"])
    return are_decided(select_decisive(gates, item.model, item.item, item.facts["looks"]), card, baseline)


class EarlyStop:
    """Decides during a run whether an item may end.

    ``registry``: metrics and kinds of items. ``suite``: the recorded suite. ``baseline``: the one that the run folder keeps.
    """

    def __init__(
        self, registry: Registry, suite: Mapping[str, Any], gates: Sequence[Gate], kinds: Mapping[str, ItemKind],
        baseline: Scorecard | None = None,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._suite = suite
        self._gates = gates
        self._kinds = kinds
        self._baseline = baseline
        self._last: dict[int, int] = {}

    def __call__(self, store: Store, item: StoredItem, /) -> bool:
        """Tell whether the item's gates are decided by its records so far.

        The rows are computed again only if there are a tenth more records than before, so that all checks of a run read
        each record about ten times.
        """
        num, looks = store.count(item), item.facts["looks"]
        if not num or not select_decisive(self._gates, item.model, item.item, looks) or not find_stage(item, num).is_look:
            return False
        if not looks and num < 1.1 * self._last.get(item.id, 0):
            return False
        self._last[item.id] = num
        results = RunResults(store, [item], self._kinds)
        _, rows = make_item_rows(item, results, self._registry, self._suite, self._gates)
        return is_decided(item, num, rows, self._suite, self._gates, self._baseline)


def _load_metrics(item: StoredItem, registry: Registry, plugin_files: Sequence[str]) -> dict[str, Metric | str]:
    """Return the item's metrics by name, or the error of loading one. ``plugin_files``: those of the run."""
    metrics: dict[str, Metric | str] = {}
    for name in item.facts.get("metrics", ()):
        if plugin_files and name not in registry.names("metrics"):
            metrics[name] = f"records load no code: pass the run's plugin file ({', '.join(plugin_files)})"
            continue
        try:
            metrics[name] = make_metric(name, registry)
        except UserError as error:
            metrics[name] = str(error)
    return metrics
