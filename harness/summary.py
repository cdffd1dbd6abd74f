"""Records to a scorecard, without any model: what can be computed again from a run folder at any time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from . import codec, stats
from .errors import UserError
from .gates import Gate, check_gates, verdict_of
from .metrics.base import Metric
from .metrics.scores import column_mean
from .registry import Registry
from .row_names import CONTROLLED, COSTS, DISTANCES, FAITHFULNESS
from .samples import Record, seed_of
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
        facts = {task: _facts(store, task) for task in dict.fromkeys(i.task for i in items)}
        rows: list[Row] = []
        timing: dict[str, Any] = {}
        failed = 0
        nothing_scored = False
        complete = {(i.model, i.item, i.num_samples) for i in items} == {tuple(planned) for planned in suite["planned"]}
        for item in items:
            records = list(store.records(item))
            # The batch check asks the task's own samples again: their failures are counted there.
            failed += sum(r.error is not None for r in records) if item.kind != "drift" else 0
            complete &= len(records) == item.num_samples
            nothing_scored |= bool(records) and all(r.error is not None for r in records)
            rows += item_rows(item, records, *facts[item.task], known)
            counters, seconds = store.counters(item)
            rows += _cost_rows(item, counters)
            timing[f"{item.model}/{item.item}"] = _timing(len(records), counters, seconds)
        card = Scorecard(
            manifest=_manifest(store, suite, items, rows), rows=tuple(rows), complete=complete, num_failed=failed,
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


def _facts(store: Store, task: str) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Targets and groups by sample id."""
    found = [(s.id, s.target, s.group) for s in store.samples(task)]
    return {i: target for i, target, _ in found}, {i: group for i, _, group in found}


def item_rows(
    item: StoredItem, records: Sequence[Record], targets: Mapping[str, Any], groups: Mapping[str, str | None], registry: Registry
) -> list[Row]:
    """The rows of one item, by its kind."""
    if item.kind == "task":
        return _task_rows(item, records, targets, groups, registry)
    if item.kind == "attack":
        return _attack_rows(item, records, groups)
    if item.kind == "probe":
        return _probe_rows(item, records, groups)
    drifts = [d for r in records if (d := r.scores.get("batch_drift")) is not None]
    estimate = Estimate(max(drifts), n=len(drifts), n_unscored=len(records) - len(drifts)) if drifts else _unscored(records)
    return [Row(item.model, item.item, "max_batch_drift", "efficiency", estimate, False)]


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _task_rows(
    item: StoredItem, records: Sequence[Record], targets: Mapping[str, Any], groups: Mapping[str, str | None], registry: Registry
) -> list[Row]:
    rows = []
    scored = [r for r in records if r.error is None]
    labels = tuple(str(label) for label in item.facts["labels"])
    for name in item.facts["metrics"]:
        try:
            metric: Metric = registry.make("metrics", name)
        except UserError as error:
            rows.append(Row(item.model, item.item, name, "quality", Estimate(None, reason=str(error)), None))
            continue
        usable = [r for r in scored if all(_value(r, need, targets) is not None for need in metric.needs)]
        missing = len(records) - len(usable)
        try:
            columns = {need: np.asarray([_value(r, need, targets) for r in usable]) for need in metric.needs}
            estimates = stats.estimate(
                metric, columns, labels, groups=[groups.get(r.sample_id) for r in usable], n_unscored=missing, seed=seed_of(item.seed, name)
            )
        except Exception as error:  # noqa: BLE001 - a metric is a plugin: where it fails, the other numbers stand
            estimates = {name: Estimate(None, n_unscored=len(records), reason=f"the metric failed: {type(error).__name__}: {error}")}
        # A safety task's accuracy is about safety; its calibration error is about calibration all the same.
        dimension = str(item.facts["dimension"]) if metric.dimension == "quality" else metric.dimension
        absent = [n for n in sorted(metric.needs) if scored and all(_value(r, n, targets) is None for r in scored)]
        if absent:
            said = next((str(r.artifacts["unscored"]) for r in scored if r.artifacts.get("unscored")), "")
            reason = said or f"the task gives no {absent[0]!r}"
            estimates = {key: replace(e, reason=reason) for key, e in estimates.items()}
        rows += [
            Row(item.model, item.item, key, dimension, _explained(e, records), metric.higher_is_better, metric.unit)
            for key, e in estimates.items()
        ]
    return rows


def _value(record: Record, column: str, targets: Mapping[str, Any]) -> Any:
    if column in record.scores:
        return record.scores[column]
    if column in record.artifacts:
        return record.artifacts[column]
    return targets.get(record.sample_id) if column == "target" else None


# ── attacks and probes ────────────────────────────────────────────────────────────────────────────────────────────────


def _attack_rows(item: StoredItem, records: Sequence[Record], groups: Mapping[str, str | None]) -> list[Row]:
    """Robust accuracy counts all samples; success, queries and distances those that were attacked (right before)."""
    rows = [
        _mean_row(item, records, groups, "robust_correct", "robust_accuracy", "robustness", True, rate=True),
        _mean_row(item, records, groups, "success", "attack_success_rate", "robustness", False, rate=True, optional=True),
        _mean_row(item, records, groups, "clean_correct", "clean_accuracy", "robustness", True, rate=True),
    ]
    flipped = [r for r in records if r.scores.get("success") == 1]
    for name in ("num_queries", *DISTANCES):
        over = records if name == "num_queries" else flipped
        if any(r.scores.get(name) is not None for r in records):
            rows.append(_mean_row(item, over, groups, name, f"mean_{name}", "robustness", None, optional=True))
    queries = [q for r in records if (q := r.scores.get("num_queries")) is not None]
    if queries:
        median = Estimate(statistics.median(queries), n=len(queries))
        rows.append(Row(item.model, item.item, "median_num_queries", "robustness", median, None))
    outside = sum(r.scores.get("outside_threat") == 1 for r in records)
    rows.append(Row(item.model, item.item, "num_outside_threat", "robustness", Estimate(float(outside), n=len(records)), False))
    return rows


def _probe_rows(item: StoredItem, records: Sequence[Record], groups: Mapping[str, str | None]) -> list[Row]:
    directions: dict[str, bool | None] = {}
    for name, higher in FAITHFULNESS.items():
        # Where all failed, the row says so; a method without the completeness axiom has no such row.
        if name != "completeness_error" or any(r.scores.get(name) is not None for r in records):
            directions[name] = higher
        if name in CONTROLLED:
            directions[f"{name}_random"] = None
    return [_mean_row(item, records, groups, n, n, "interpretability", better, optional=True) for n, better in directions.items()]


def _mean_row(
    item: StoredItem, records: Sequence[Record], groups: Mapping[str, str | None], score: str, metric: str, dimension: str,
    higher_is_better: bool | None, *, rate: bool = False, optional: bool = False,
) -> Row:  # fmt: skip
    """The mean of a score. ``optional``: records without it were not meant to have it, rather than failed to."""
    usable = [r for r in records if r.scores.get(score) is not None]
    columns = {score: np.asarray([r.scores[score] for r in usable], dtype=float)}
    missing = sum(r.error is not None for r in records) if optional else len(records) - len(usable)
    estimate = stats.estimate(
        column_mean(score, rate=rate),
        columns,
        (),
        groups=[groups.get(r.sample_id) for r in usable],
        n_unscored=missing,
        seed=seed_of(item.seed, score),
    )[score]
    return Row(item.model, item.item, metric, dimension, _explained(estimate, records), higher_is_better)


def _explained(estimate: Estimate, records: Sequence[Record]) -> Estimate:
    """Where nothing was scored, the first sample's error is the reason. A number that is none is not shown as one."""
    if estimate.value is not None and not math.isfinite(estimate.value):
        return replace(estimate, value=None, low=None, high=None, reason=f"the metric came out as {estimate.value}")
    if estimate.value is not None or estimate.n > 0:
        return estimate
    error = next((r.error for r in records if r.error), None)
    return replace(estimate, reason=f"no sample could be scored; the first error was: {error}" if error else estimate.reason)


def _unscored(records: Sequence[Record]) -> Estimate:
    return _explained(Estimate(None, n_unscored=len(records), reason="nothing to compare"), records)


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


def _timing(num_records: int, counters: Mapping[str, int], seconds: float) -> dict[str, float]:
    rate = (lambda count: round(count / seconds, 3)) if seconds > 0 else (lambda count: 0.0)
    return {
        "seconds": round(seconds, 3),
        "samples_per_s": rate(num_records),
        "requests_per_s": rate(counters.get("requests", 0)),
        "tokens_per_s": rate(counters.get("tokens_computed", 0)),
    }


# ── manifest and flags ────────────────────────────────────────────────────────────────────────────────────────────────


def _manifest(store: Store, suite: Mapping[str, Any], items: Sequence[StoredItem], rows: Sequence[Row]) -> dict[str, Any]:
    models = {
        i.model: {"model": i.facts["model"], "fingerprint": i.model_fingerprint, "notes": list(i.facts["model_notes"]),
                  "dtype": i.facts["dtype"], "device": i.facts["device"]}
        for i in items
    }  # fmt: skip
    described = [
        {"model": i.model, "item": i.item, "kind": i.kind, "task": i.task, "num_samples": i.num_samples,
         "data_fingerprint": i.data_fingerprint, "plugin": i.plugin, "seed": i.seed,
         "settings": _plain(i.facts["settings"]), "threat": _plain(i.facts.get("threat"))}
        for i in items
    ]  # fmt: skip
    return {
        "name": store.name, "version": store.version, "seed": suite["seed"], "models": models, "items": described,
        "skipped": [_plain(s) for s in suite.get("skipped", ())], "flags": list(_flags(store, items, rows)),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """Tuples to lists: what JSON shows."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def _flags(store: Store, items: Sequence[StoredItem], rows: Sequence[Row]) -> Iterable[str]:
    """What a reader must know before believing the numbers, a sentence each."""
    value = {(r.model, r.item, r.metric): r.estimate.value for r in rows}
    for item in items:
        where = f"{item.model}/{item.item}"
        drift = value.get((item.model, item.item, "max_batch_drift"))
        if drift is not None and drift > 1e-3:
            yield (
                f"{where}: an answer moved by {drift:.3g} with its batch neighbours. In half precision some drift is "
                "expected; in float32 the model mixes its batch, and its numbers depend on what else was asked."
            )
        records = list(store.records(item))
        truncated = sum("num_truncated" in r.artifacts for r in records)
        if truncated:
            yield f"{where}: {truncated} of {len(records)} samples were longer than the model and were cut."
        if item.kind == "attack":
            yield from _attack_flags(where, records)
        if item.kind == "probe":
            yield from _probe_flags(where, value, item, records)


def _attack_flags(where: str, records: Sequence[Record]) -> Iterable[str]:
    attacked = [r for r in records if r.scores.get("success") is not None]
    if attacked and all(r.artifacts.get("zero_gradient") for r in attacked):
        yield f"{where}: the loss had zero gradient on every attacked sample, so a gradient attack says nothing about robustness here."
    outside = sum(r.scores.get("outside_threat") == 1 for r in records)
    if outside:
        yield f"{where}: {outside} proposed twins broke the threat model and count as failed attacks; robust accuracy may be too high."


def _probe_flags(
    where: str, value: Mapping[tuple[str, str, str], float | None], item: StoredItem, records: Sequence[Record]
) -> Iterable[str]:
    loose = sum(r.artifacts.get("converged") is False for r in records)
    if loose:
        yield f"{where}: {loose} of {len(records)} attributions do not sum to the change they explain, even at the most steps allowed."
    real, control = (value.get((item.model, item.item, f"comprehensiveness{s}")) for s in ("", "_random"))
    if real is not None and control is not None and real <= control:
        yield f"{where}: the attributions are no more comprehensive than random ones; they do not explain this model."
