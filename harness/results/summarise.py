"""Computes a scorecard from the records of a run folder, without any model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..api.registry import Registry
from ..api.scorecard import Estimate, Figure, Row, Scorecard
from ..items.base.kind import ItemKind
from ..items.base.results import RunResults
from ..items.kinds import list_kinds
from ..scorecard.columns import Table
from ..scorecard.gates import Gate, check_gates, decide_verdict, lacks_scores
from ..scorecard.gates.early_stop import bound_at_any_time
from ..scorecard.measures import MEASURES, add_direction
from ..scorecard.names import COSTS
from ..store import FILE_NAME, Store, StoredItem, codec
from .baseline_file import read_kept_baseline
from .comparison import compare_models, have_common_items
from .item_rows import UNKNOWN, is_decided, make_item_rows, parse_gates
from .views import SampleViews


def summarise(
    folder: Path,
    *,
    gates: Sequence[Gate] | None = None,
    registry: Registry | None = None,
    keep_evidence: bool = False,
    baseline: Scorecard | None = None,
) -> Scorecard:
    """Compute the scorecard of a run folder.

    ``folder``: the run folder.
    ``gates``: replace the gates of the suite.
    ``registry``: the metrics and the kinds of items; by default the installed ones, as records load no code (`load_registry`).
    ``keep_evidence``: keep `Row.evidence`, which takes memory for each sample, instead of comparing the models.
    ``baseline``: the run that gates compare with (`baseline.load_baseline`); by default the one that the run folder keeps.
    Raises `StoreError` if the store cannot be read, and `ConfigError` if the folder's baseline cannot.
    """
    store = Store.open(folder / FILE_NAME, readonly=True)
    try:
        suite = codec.loads(store.suite)
        known = registry or Registry()
        kinds, items = list_kinds(known), store.items()
        results = RunResults(store, items, kinds)
        timing: dict[str, Any] = {}
        figures: list[Figure] = []
        failed = 0
        flags: list[str] = []
        mostly_failed = False
        compared = not keep_evidence and have_common_items(items)
        planned_gates = parse_gates(suite)
        wanted = planned_gates if gates is None else gates
        is_compared = any(gate.drop is not None for gate in wanted)
        if is_compared and baseline is None:
            baseline = read_kept_baseline(folder, known)
        drop = (lambda row: row) if keep_evidence or compared or is_compared else _drop_evidence
        numbers: dict[int, int] = {}
        ended: set[int] = set()
        complete = {(i.model, i.item, i.num_samples) for i in items} == {tuple(planned) for planned in suite["planned"]}
        for item in items:
            kind = kinds.get(item.kind, UNKNOWN)
            table, own_rows = make_item_rows(item, results, known, suite, planned_gates)
            failed += table.notes["failed"] if kind.counts_failures else 0
            expected = min([item.num_samples, *(numbers[base] for base in item.facts["rests_on"] if base in ended)])
            if table.num < expected and is_decided(item, own_rows, suite, planned_gates):
                ended.add(item.id)
            numbers[item.id] = table.num
            complete &= item.id in ended or table.num >= expected
            own_rows = [drop(row) for row in own_rows]
            results.rows += own_rows
            if sentence := _describe_failures(item, table, kind):
                flags.append(sentence)
                mostly_failed = True
            elif sentence := _describe_unscored(item, table, own_rows, suite["max_unscored"]):
                flags.append(sentence)
            results.kept[item.id] = kind.keep(item, table)
            figures += kind.figures(item, table)
            counters = store.counters(item)
            results.rows += _make_cost_rows(item, counters) if kind.has_costs else []
            timing[f"{item.model}/{item.item}"] = _compute_rates(table.num, counters, *store.timing(item))
        for kind in kinds.values():
            known_rows = set(map(id, results.rows))
            results.rows = kind.joint_rows(results, results.rows)
            if ended:
                results.rows = [row if id(row) in known_rows else bound_at_any_time(row) for row in results.rows]
            results.rows = [drop(row) for row in results.rows]
        flags += _list_flags(items, results.notes, kinds, suite["plugin_files"])
        flags += [flag for kind in kinds.values() for flag in kind.flags(results)]
        tables = (kind.measures for kind in kinds.values())
        measures = {**results.measures, **{name: measure for table in tables for name, measure in table.items()}, **MEASURES}
        rows = tuple(add_direction(row, measures) for row in results.rows)
        card = Scorecard(
            manifest=_make_manifest(store, suite, items, flags), rows=rows, complete=complete, num_failed=failed,
            num_samples=sum(i.num_samples for i in items if i.key.is_task),
            samples=SampleViews(folder, kinds, sum(store.count(i) for i in items if i.key.is_task)), timing=timing,
            measures={row.metric: measures[row.metric] for row in rows if row.metric in measures},
            row_names={name: kind.stems() for name, kind in kinds.items()}, max_unscored=suite["max_unscored"], figures=tuple(figures),
        )  # fmt: skip
        gate_results = check_gates(wanted, card, baseline)
        verdict = decide_verdict(gate_results)
        if compared:
            card = replace(card, comparisons=compare_models(card, folder, known))
        if not keep_evidence:
            card = replace(card, rows=tuple(map(_drop_evidence, card.rows)))
        # A run with an item whose samples mostly failed must not pass, whatever the gates check.
        return replace(card, gates=gate_results, verdict="no_data" if verdict not in ("fail", "missing") and mostly_failed else verdict)
    finally:
        store.close()


def _drop_evidence(row: Row) -> Row:
    return row if row.evidence is None else replace(row, evidence=None)


def _describe_failures(item: StoredItem, table: Table, kind: ItemKind) -> str:
    """Return a sentence if most samples of an item failed; empty otherwise."""
    counts = table.mostly_failed(kind.worked_on)
    if counts is None:
        return ""
    failed, num = counts
    return (
        f"{item.model}/{item.item}: {failed} of {num} samples failed, more than half, so that its numbers decide nothing; "
        f"the first error was: {table.first_error}"
    )


def _describe_unscored(item: StoredItem, table: Table, rows: Sequence[Row], max_unscored: float) -> str:
    """Return a sentence if a row of an item has too many unscored samples to pass a gate; empty otherwise."""
    found = [row for row in rows if row.estimate.value is not None and lacks_scores(row, max_unscored)]
    if not found:
        return ""
    row = max(found, key=lambda row: row.estimate.n_unscored)
    num, why = row.estimate.n_unscored, table.first_error or table.unscored
    return (
        f"{item.model}/{item.item}: {num} of {num + row.estimate.n} samples have no {row.name}, more than 'max_unscored' allows, so that "
        f"no gate on it passes" + (f"; the first error was: {why}" if why else "")
    )


def load_registry(folder: Path, plugins: Sequence[str], /) -> Registry:
    """Return the plugins for views of a run folder: the installed ones, and those of the run's given plugin files.

    Raises `ConfigError` if a file is not one of the run's plugin files.
    """
    if not plugins:
        return Registry()
    store = Store.open(folder / FILE_NAME, readonly=True)
    recorded = codec.loads(store.suite)["plugin_files"]
    store.close()
    return Registry.of_run(recorded, plugins)


# ── cost ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _make_cost_rows(item: StoredItem, counters: Mapping[str, int]) -> list[Row]:
    """Return rows with the item's costs, which do not depend on the machine's speed. Zero counts have no row, except passes."""
    shown = {name: unit for name, unit in COSTS.items() if counters.get(name) or name == "forward_passes"}
    return [
        Row(item.model, item.key, name, "efficiency", Estimate(float(counters.get(name, 0)), n=item.num_samples), None, unit)
        for name, unit in shown.items()
    ]


def _compute_rates(num_records: int, counters: Mapping[str, int], spent: Mapping[int, float], peak: float) -> dict[str, float]:
    """Compute rates over the item's whole time.

    ``spent``: seconds by chunk. ``peak``: the measured matrix-product speed of the device, in FLOP/s.
    """
    seconds = sum(spent.values())
    rate = (lambda count: round(count / seconds, 3)) if seconds > 0 else (lambda count: 0.0)
    timing = {
        "seconds": round(seconds, 3),
        "samples_per_s": rate(num_records),
        "requests_per_s": rate(counters.get("requests", 0)),
        "tokens_per_s": rate(counters.get("tokens_computed", 0)),
    }
    if peak and counters.get("flops"):
        timing |= {"gflop_per_s": rate(counters["flops"] / 1e9), "share_of_matmul_peak": rate(counters["flops"] / peak)}
    return timing


# ── manifest and flags ────────────────────────────────────────────────────────────────────────────────────────────────


_ABOUT_TASKS = ("title", "hub_task", "source")


def _make_manifest(store: Store, suite: Mapping[str, Any], items: Sequence[StoredItem], flags: Sequence[str]) -> dict[str, Any]:
    models = {
        i.model: {"model": i.facts["model"], "fingerprint": i.model_fingerprint, "notes": list(i.facts["model_notes"]),
                  "dtype": i.facts["dtype"], "device": i.facts["device"]}
        for i in items
    }  # fmt: skip
    described = [
        {"model": i.model, "item": i.item, "key": i.key.to_json(), "kind": i.kind, "task": i.task, "num_samples": i.num_samples,
         "data_fingerprint": i.data_fingerprint, "plugin": i.plugin, "seed": i.seed, "identity": _to_json(i.facts.get("identity", {})),
         "settings": _to_json(i.facts["settings"]), "threat": _to_json(i.facts.get("threat")), "roles": _to_json(i.facts["roles"])}
        for i in items
    ]  # fmt: skip
    return {
        "name": store.name, "version": store.version, "versions": _to_json(items[0].facts.get("versions", {})) if items else {},
        "digest": store.digest, "seed": suite["seed"], "models": models, "items": described,
        "data": {i.task: notes for i in items if (notes := _list_data_notes(i))},
        "tasks": {i.task: {name: i.facts[name] for name in _ABOUT_TASKS if name in i.facts} for i in items if i.key.is_task},
        "skipped": [_to_json(s) for s in suite.get("skipped", ())], "flags": list(flags),
        "set_aside": [{"model": i.model, "item": i.item, "why": why, "num_records": store.count(i)} for i, why in store.set_aside()],
    }  # fmt: skip


def _list_data_notes(item: StoredItem) -> dict[str, list[str]]:
    """Return the sentences about a task's data: notes, and cautions about a part that does not represent the set."""
    found = {name: list(item.facts.get(f"data_{name}", ())) for name in ("notes", "cautions")}
    return {name: sentences for name, sentences in found.items() if sentences}


def _to_json(value: Any) -> Any:
    """Convert tuples to lists, as JSON does."""
    if isinstance(value, Mapping):
        return {k: _to_json(v) for k, v in value.items()}
    return [_to_json(v) for v in value] if isinstance(value, tuple | list) else value


def _list_flags(
    items: Sequence[StoredItem], notes: Mapping[int, Mapping[str, int]], kinds: Mapping[str, ItemKind], plugin_files: Sequence[str]
) -> Iterable[str]:  # fmt: skip
    """Return sentences that warn readers about the numbers of items of any kind. ``notes``: `RunResults.notes`."""
    for item in items:
        where, noted = f"{item.model}/{item.item}", notes[item.id]
        if item.kind not in kinds:
            files = f" ({', '.join(plugin_files)})" if plugin_files else ""
            yield f"{where}: records load no code, so that the item only has rows about costs: pass the run's plugin file{files}"
        if item.facts.get("caution"):
            yield f"{where}: {item.facts['caution']}"
        yield from (f"{where}: {caution}" for caution in item.facts.get("data_cautions", ()))
        if noted["truncated"]:
            yield f"{where}: {noted['truncated']} of {noted['records']} samples were longer than the model and were cut."
