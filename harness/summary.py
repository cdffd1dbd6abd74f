"""Records to a scorecard, without any model: what can be computed again from a run folder at any time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from . import codec, stats
from .columns import NOTED, Mask, Table
from .errors import UserError
from .gates import Gate, check_gates, verdict_of
from .metrics.base import Metric
from .metrics.scores import column_mean
from .registry import Registry
from .row_names import CONTROLLED, COSTS, DISTANCES, DRIFTS, FAITHFULNESS, HALF_PRECISION, MEDIANS, QUERY_BUDGETS
from .samples import seed_of
from .scorecard import Estimate, Row, Scorecard
from .store import FILE_NAME, Store, StoredItem
from .views import sample_views

MAX_VIEWS = 1000
"""Samples shown in a report's explorer; the numbers rest on all of them."""


def summarise(folder: Path, *, gates: Sequence[Gate] | None = None, registry: Registry | None = None) -> Scorecard:
    """The scorecard of a run folder. ``gates``: in place of the suite's own. Raises `StoreError` and `ConfigError`."""
    store = Store.open(folder / FILE_NAME, readonly=True)
    try:
        suite = codec.loads(store.suite)
        # A run folder that was copied to another machine is read there without the plugin files it was made with.
        known = registry or Registry(tuple(file for file in suite["plugins"] if Path(file).is_file()))
        items = store.items()
        rows: list[Row] = []
        timing: dict[str, Any] = {}
        notes: dict[int, Mapping[str, int]] = {}
        failed = 0
        nothing_scored = False
        complete = {(i.model, i.item, i.num_samples) for i in items} == {tuple(planned) for planned in suite["planned"]}
        for item in items:
            made = _metrics(item, known)
            table = Table.of(store.joined(item, {*NOTED, *_needs(made)}), _needs(made) if item.kind == "task" else None)
            notes[item.id] = table.notes
            # The batch check asks the task's own samples again: their failures are counted there.
            failed += table.notes["failed"] if item.kind != "drift" else 0
            complete &= table.num == item.num_samples
            nothing_scored |= 0 < table.num == table.notes["failed"]
            rows += item_rows(item, table, made)
            counters, seconds = store.counters(item)
            rows += _cost_rows(item, counters)
            timing[f"{item.model}/{item.item}"] = _timing(table.num, counters, seconds, item.facts.get("matmul_flops_per_s", 0.0))
        card = Scorecard(
            manifest=_manifest(store, suite, items, rows, notes), rows=tuple(rows), complete=complete, num_failed=failed,
            num_samples=sum(i.num_samples for i in items if i.kind == "task"),
            samples=tuple(sample_views(store, items, MAX_VIEWS)), timing=timing,
        )  # fmt: skip
        wanted = gates if gates is not None else [Gate.parse(g["check"], inconclusive=g["inconclusive"]) for g in suite["gates"]]
        results = check_gates(wanted, card)
        verdict = verdict_of(results)
        # An item of which nothing could be scored must not look like a run that went well, whatever the gates were about.
        return replace(card, gates=results, verdict="no_data" if verdict != "fail" and nothing_scored else verdict)
    finally:
        store.close()


def item_rows(item: StoredItem, table: Table, metrics: Mapping[str, Metric | str]) -> list[Row]:
    """The rows of one item, by its kind."""
    if item.kind == "task":
        return _task_rows(item, table, metrics)
    if item.kind == "attack":
        return _attack_rows(item, table)
    if item.kind == "probe":
        return _probe_rows(item, table)
    return [_drift_row(item, table, score) for score in DRIFTS if score == "batch_drift" or item.facts["dtype"] in HALF_PRECISION]


def _drift_row(item: StoredItem, table: Table, score: str) -> Row:
    drifts = table.values(score, table.given(score))
    if not len(drifts):
        estimate = _explained(Estimate(None, n_unscored=table.num, reason="nothing to compare"), table.first_error)
    else:
        estimate = Estimate(float(drifts.max()), n=len(drifts), n_unscored=table.num - len(drifts))
    return Row(item.model, item.item, DRIFTS[score], "efficiency", estimate, False)


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _metrics(item: StoredItem, registry: Registry) -> dict[str, Metric | str]:
    """The item's metrics by name, or why one cannot be had."""
    made: dict[str, Metric | str] = {}
    for name in item.facts["metrics"]:
        try:
            made[name] = registry.make("metrics", name)
        except UserError as error:
            made[name] = str(error)
    return made


def _needs(metrics: Mapping[str, Metric | str]) -> set[str]:
    return {need for metric in metrics.values() if not isinstance(metric, str) for need in metric.needs}


def _task_rows(item: StoredItem, table: Table, metrics: Mapping[str, Metric | str]) -> list[Row]:
    rows = []
    labels = tuple(str(label) for label in item.facts["labels"])
    for name, metric in metrics.items():
        if isinstance(metric, str):
            rows.append(Row(item.model, item.item, name, "quality", Estimate(None, reason=metric), None))
            continue
        scored_N = ~table.failed_N
        given = {need: scored_N & table.given(need) for need in sorted(metric.needs)}
        usable_N = np.logical_and.reduce([scored_N, *given.values()])
        missing = table.num - int(usable_N.sum())
        try:
            columns = {need: table.values(need, usable_N) for need in metric.needs}
            estimates = stats.estimate(
                metric, columns, labels, groups=table.groups(usable_N), n_unscored=missing, seed=seed_of(item.seed, name)
            )
        except Exception as error:  # noqa: BLE001 - a metric is a plugin: where it fails, the other numbers stand
            estimates = {name: Estimate(None, n_unscored=table.num, reason=f"the metric failed: {type(error).__name__}: {error}")}
        # A safety task's accuracy is about safety; its calibration error is about calibration all the same.
        dimension = str(item.facts["dimension"]) if metric.dimension == "quality" else metric.dimension
        absent = [need for need, given_N in given.items() if scored_N.any() and not given_N.any()]
        if absent:
            reason = table.unscored or f"the task gives no {absent[0]!r}"
            estimates = {key: replace(e, reason=reason) for key, e in estimates.items()}
        rows += [
            Row(item.model, item.item, key, dimension, _explained(e, table.first_error), metric.higher_is_better, metric.unit)
            for key, e in estimates.items()
        ]
    return rows


# ── attacks and probes ────────────────────────────────────────────────────────────────────────────────────────────────


def _attack_rows(item: StoredItem, table: Table) -> list[Row]:
    """Robust accuracy counts all samples; success, queries and distances those that were attacked (right before)."""
    rows = [
        _mean_row(item, table, "robust_correct", "robust_accuracy", "robustness", True, rate=True),
        _mean_row(item, table, "success", "attack_success_rate", "robustness", False, rate=True, optional=True),
        _mean_row(item, table, "clean_correct", "clean_accuracy", "robustness", True, rate=True),
    ]
    flipped_N = table.given("success")
    flipped_N[flipped_N] = table.values("success", flipped_N) == 1
    for name in ("num_queries", *DISTANCES):
        if name in table.columns:
            over_N = None if name == "num_queries" else flipped_N
            rows.append(_mean_row(item, table, name, f"mean_{name}", "robustness", None, optional=True, among_N=over_N))
    if "num_queries" in table.columns:
        queries = table.values("num_queries", table.given("num_queries"))
        median = Estimate(float(np.median(queries)), n=len(queries))
        rows.append(Row(item.model, item.item, "median_num_queries", "robustness", median, None))
        rows += _budget_rows(item, table)
    for name in MEDIANS:
        if name in table.columns:
            values = table.values(name, flipped_N & table.given(name))
            estimate = Estimate(float(np.median(values)), n=len(values)) if len(values) else Estimate(None, reason="no twin succeeded")
            rows.append(Row(item.model, item.item, f"median_{name}", "robustness", estimate, None))
    outside = Estimate(float(table.notes["outside"]), n=table.num)
    rows.append(Row(item.model, item.item, "num_outside_threat", "robustness", outside, False))
    return rows


def _budget_rows(item: StoredItem, table: Table) -> list[Row]:
    """The curve of success over the query budget, at a few budgets: flipped within so many queries, over the samples that were attacked."""
    both_N = table.given("success") & table.given("num_queries")
    flipped, queries = table.values("success", both_N) == 1, table.values("num_queries", both_N)
    rows = []
    for most in QUERY_BUDGETS:
        name = f"success_within_{most}_queries"
        within = {name: (flipped & (queries <= most)).astype(float)}
        seed = seed_of(item.seed, name)
        found = stats.estimate(column_mean(name, rate=True), within, (), groups=table.groups(both_N), seed=seed)[name]
        rows.append(Row(item.model, item.item, name, "robustness", found, False))
    return rows


def _probe_rows(item: StoredItem, table: Table) -> list[Row]:
    directions: dict[str, bool | None] = {}
    for name, higher in FAITHFULNESS.items():
        # Where all failed, the row says so; a method without the completeness axiom has no such row.
        if name != "completeness_error" or name in table.columns:
            directions[name] = higher
        if name in CONTROLLED:
            directions[f"{name}_random"] = None
    return [_mean_row(item, table, n, n, "interpretability", better, optional=True) for n, better in directions.items()]


def _mean_row(
    item: StoredItem, table: Table, score: str, metric: str, dimension: str, higher_is_better: bool | None, *, rate: bool = False,
    optional: bool = False, among_N: Mask | None = None,
) -> Row:  # fmt: skip
    """The mean of a score, of the records ``among_N`` or of all. ``optional``: records without it were not meant to have it, rather than
    failed to."""
    over_N = np.ones(table.num, dtype=bool) if among_N is None else among_N
    usable_N = over_N & table.given(score)
    missing_N = table.failed_N if optional else ~usable_N
    estimate = stats.estimate(
        column_mean(score, rate=rate),
        {score: table.values(score, usable_N).astype(float)},
        (),
        groups=table.groups(usable_N),
        n_unscored=int((over_N & missing_N).sum()),
        seed=seed_of(item.seed, score),
    )[score]
    error = table.first_error if among_N is None else None
    return Row(item.model, item.item, metric, dimension, _explained(estimate, error), higher_is_better)


def _explained(estimate: Estimate, error: str | None) -> Estimate:
    """Where nothing was scored, the first sample's ``error`` is the reason. A number that is none is not shown as one."""
    if estimate.value is not None and not math.isfinite(estimate.value):
        return replace(estimate, value=None, low=None, high=None, reason=f"the metric came out as {estimate.value}")
    if estimate.value is not None or estimate.n > 0:
        return estimate
    return replace(estimate, reason=f"no sample could be scored; the first error was: {error}" if error else estimate.reason)


# ── cost ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cost_rows(item: StoredItem, counters: Mapping[str, int]) -> list[Row]:
    """What the item cost the model, in counts that do not depend on the machine's speed; zeros are left out but for the passes."""
    if item.kind == "drift":
        return []
    shown = {name: unit for name, unit in COSTS.items() if counters.get(name) or name == "forward_passes"}
    return [
        Row(item.model, item.item, name, "efficiency", Estimate(float(counters.get(name, 0)), n=item.num_samples), None, unit)
        for name, unit in shown.items()
    ]


def _timing(num_records: int, counters: Mapping[str, int], seconds: float, peak: float) -> dict[str, float]:
    """Rates over all that the item took, our own work included. ``peak``: what a plain matrix product reached on the device."""
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


def _manifest(
    store: Store, suite: Mapping[str, Any], items: Sequence[StoredItem], rows: Sequence[Row], notes: Mapping[int, Mapping[str, int]]
) -> dict[str, Any]:
    models = {
        i.model: {"model": i.facts["model"], "fingerprint": i.model_fingerprint, "notes": list(i.facts["model_notes"]),
                  "dtype": i.facts["dtype"], "device": i.facts["device"]}
        for i in items
    }  # fmt: skip
    described = [
        {"model": i.model, "item": i.item, "kind": i.kind, "task": i.task, "num_samples": i.num_samples,
         "data_fingerprint": i.data_fingerprint, "plugin": i.plugin, "seed": i.seed,
         "settings": _plain(i.facts["settings"]), "threat": _plain(i.facts.get("threat")), "roles": _plain(i.facts["roles"])}
        for i in items
    ]  # fmt: skip
    return {
        "name": store.name, "version": store.version, "seed": suite["seed"], "models": models, "items": described,
        "skipped": [_plain(s) for s in suite.get("skipped", ())], "flags": list(_flags(items, rows, notes)),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """Tuples to lists: what JSON shows."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def _flags(items: Sequence[StoredItem], rows: Sequence[Row], notes: Mapping[int, Mapping[str, int]]) -> Iterable[str]:
    """What a reader must know before believing the numbers, a sentence each. ``notes``: by item, how many records it is about."""
    value = {(r.model, r.item, r.metric): r.estimate.value for r in rows}
    for item in items:
        where, noted = f"{item.model}/{item.item}", notes[item.id]
        drift = value.get((item.model, item.item, "max_batch_drift"))
        if drift is not None and drift > 1e-3:
            yield (
                f"{where}: an answer moved by {drift:.3g} with its batch neighbours. In half precision some drift is "
                "expected; in float32 the model mixes its batch, and its numbers depend on what else was asked."
            )
        rounded = value.get((item.model, item.item, "max_precision_drift"))
        if rounded is not None and rounded > 1e-3:
            yield f"{where}: in {item.facts['dtype'].removeprefix('torch.')} an answer is {rounded:.3g} away from the one in float32."
        if noted["truncated"]:
            yield f"{where}: {noted['truncated']} of {noted['records']} samples were longer than the model and were cut."
        if item.kind == "attack":
            yield from _attack_flags(where, noted)
        if item.kind == "probe":
            yield from _probe_flags(where, value, item, noted)


def _attack_flags(where: str, noted: Mapping[str, int]) -> Iterable[str]:
    if 0 < noted["attacked"] == noted["zero_gradient"]:
        yield f"{where}: the loss had zero gradient on every attacked sample, so a gradient attack says nothing about robustness here."
    if noted["outside"]:
        yield (
            f"{where}: {noted['outside']} proposed twins broke the threat model and count as failed attacks; "
            "robust accuracy may be too high."
        )


def _probe_flags(
    where: str, value: Mapping[tuple[str, str, str], float | None], item: StoredItem, noted: Mapping[str, int]
) -> Iterable[str]:
    if noted["loose"]:
        yield (
            f"{where}: {noted['loose']} of {noted['records']} attributions do not sum to the change they explain, "
            "even at the most steps allowed."
        )
    real, control = (value.get((item.model, item.item, f"comprehensiveness{s}")) for s in ("", "_random"))
    if real is not None and control is not None and real <= control:
        yield f"{where}: the attributions are no more comprehensive than random ones; they do not explain this model."
