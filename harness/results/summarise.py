"""Records to a scorecard, without any model: what can be computed again from a run folder at any time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import statistics
from ..api.errors import UserError
from ..api.registry import Registry
from ..api.samples import seed_of
from ..api.scorecard import Estimate, Row, Scorecard
from ..items.attack.reliability import spread_rows, warnings
from ..items.attack.rows import attack_rows, transfer_rows
from ..items.attack.worst_case import Outcomes, with_worst_cases
from ..items.probe.rows import agreement_rows, probe_rows, shift_rows, slice_rows
from ..items.probe.word_rows import WordUse, reliance_rows
from ..items.task.judge_rows import COLUMNS, calibrations, corrected_rows, judge_rows, lonely_judges
from ..metrics.base import Metric, make_metric
from ..scorecard.columns import NOTED, Mask, Table
from ..scorecard.controls import control_flags, with_cautions
from ..scorecard.gates import Gate, check_gates, verdict_of
from ..scorecard.mean_rows import explained
from ..scorecard.names import COSTS, DRIFT_TOLERANCE, DRIFTS, HALF_PRECISION
from ..store import FILE_NAME, Store, StoredItem, codec
from ..system.interrupts import is_interrupt
from .views import sample_views

MAX_VIEWS = 1000
"""Samples shown in a report's explorer; the numbers rest on all of them."""


def summarise(folder: Path, *, gates: Sequence[Gate] | None = None, registry: Registry | None = None) -> Scorecard:
    """The scorecard of a run folder. ``gates``: in place of the suite's own. ``registry``: who knows the metrics; without it those that are
    installed, for records load no code (`registry_of`). Raises `StoreError` and `ConfigError`."""
    store = Store.open(folder / FILE_NAME, readonly=True)
    try:
        suite = codec.loads(store.suite)
        known = registry or Registry()
        items = store.items()
        rows: list[Row] = []
        timing: dict[str, Any] = {}
        notes: dict[int, Mapping[str, int]] = {}
        outcomes: list[Outcomes] = []
        judged: list[tuple[StoredItem, Table]] = []
        failed = 0
        too_little: list[str] = []
        complete = {(i.model, i.item, i.num_samples) for i in items} == {tuple(planned) for planned in suite["planned"]}
        for item in items:
            made = _metrics(item, known, suite["plugin_files"])
            needed = {*_needs(made), *COLUMNS, "slice"}
            table = Table.of(store.join(item, {*NOTED, *needed}), needed if item.kind == "task" else None, {*COLUMNS, "slice"})
            notes[item.id] = table.notes
            # The batch check asks the task's own samples again: their failures are counted there.
            failed += table.notes["failed"] if item.kind != "drift" else 0
            complete &= table.num == item.num_samples
            too_little += _too_little(item, table)
            rows += item_rows(item, table, made)
            if item.kind == "attack":
                outcomes.append(Outcomes.of(item, table))
            if any(table.given(column).any() for column in COLUMNS):
                judged.append((item, table))
                rows += judge_rows(item, table)
            counters = store.counters(item)
            rows += _cost_rows(item, counters)
            timing[f"{item.model}/{item.item}"] = _timing(table.num, counters, *store.timing(item))
        errors_of = calibrations(judged)
        rows += [row for item, table in judged for row in corrected_rows(item, table, errors_of)]
        rows += [*spread_rows(outcomes), *agreement_rows(store, items), *slice_rows(store, items)]
        words = [WordUse.of(store, item) for item in items if item.kind == "reliance"]
        rows += [row for used in words for row in used.rows()]
        rows = with_cautions(with_worst_cases(rows, outcomes))
        flags = [*too_little, *_flags(items, rows, notes), *control_flags(items, rows), *warnings(outcomes, rows, notes)]
        flags += [*lonely_judges(judged, errors_of), *(flag for used in words for flag in used.flags())]
        card = Scorecard(
            manifest=_manifest(store, suite, items, flags), rows=tuple(rows), complete=complete, num_failed=failed,
            num_samples=sum(i.num_samples for i in items if i.kind == "task"),
            samples=tuple(sample_views(store, items, MAX_VIEWS)), timing=timing,
        )  # fmt: skip
        wanted = gates if gates is not None else [Gate.parse(g["check"], inconclusive=g["inconclusive"]) for g in suite["gates"]]
        results = check_gates(wanted, card)
        verdict = verdict_of(results)
        # An item of which most samples failed must not look like a run that went well, whatever the gates were about.
        return replace(card, gates=results, verdict="no_data" if verdict != "fail" and too_little else verdict)
    finally:
        store.close()


_WORKED_ON = {"attack": "success", "transfer": "clean_correct", "shift": "flipped"}
"""Of items that pass over some samples (those that were wrong before, those without a twin): the score of those that they worked on."""


def _too_little(item: StoredItem, table: Table) -> Iterable[str]:
    if found := table.mostly_failed(_WORKED_ON.get(item.kind, "")):
        failed, num = found
        yield (
            f"{item.model}/{item.item}: {failed} of {num} samples failed, more than half, so that its numbers decide nothing; "
            f"the first error was: {table.first_error}"
        )


def registry_of(folder: Path, plugins: Sequence[str], /) -> Registry:
    """The plugins for views of a run folder: those that are installed, and of the files that the run was made with those given."""
    if not plugins:
        return Registry()
    store = Store.open(folder / FILE_NAME, readonly=True)
    recorded = codec.loads(store.suite)["plugin_files"]
    store.close()
    return Registry.of_run(recorded, plugins)


def item_rows(item: StoredItem, table: Table, metrics: Mapping[str, Metric | str]) -> list[Row]:
    """The rows of one item, by its kind."""
    if item.kind == "task":
        return _task_rows(item, table, metrics)
    if item.kind == "attack":
        return attack_rows(item, table)
    if item.kind == "transfer":
        return transfer_rows(item, table)
    if item.kind == "probe":
        return probe_rows(item, table)
    if item.kind == "shift":
        return shift_rows(item, table)
    if item.kind == "reliance":
        return reliance_rows(item, table)
    return [_drift_row(item, table, score) for score in DRIFTS if score != "precision_drift" or item.facts["dtype"] in HALF_PRECISION]


def _drift_row(item: StoredItem, table: Table, score: str) -> Row:
    drifts = table.values(score, table.given(score))
    if not len(drifts):
        estimate = explained(Estimate(None, n_unscored=table.num, reason=table.unscored or "nothing to compare"), table.first_error)
    else:
        estimate = Estimate(float(drifts.max()), n=len(drifts), n_unscored=table.num - len(drifts))
    return Row(item.model, item.item, DRIFTS[score], "efficiency", estimate, False)


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _metrics(item: StoredItem, registry: Registry, plugin_files: Sequence[str]) -> dict[str, Metric | str]:
    """The item's metrics by name, or why one cannot be had. ``plugin_files``: what the run was made with beside what is installed."""
    made: dict[str, Metric | str] = {}
    for name in item.facts["metrics"]:
        if plugin_files and name not in registry.names("metrics"):
            made[name] = f"records load no code: give the run's plugin file ({', '.join(plugin_files)})"
            continue
        try:
            made[name] = make_metric(name, registry)
        except UserError as error:
            made[name] = str(error)
    return made


def _needs(metrics: Mapping[str, Metric | str]) -> set[str]:
    return {need for metric in metrics.values() if not isinstance(metric, str) for need in metric.needs}


def _task_rows(item: StoredItem, table: Table, metrics: Mapping[str, Metric | str]) -> list[Row]:
    """A row a metric and, where the samples are of slices, one for each slice; a metric about one slice only has the row of that."""
    rows = []
    all_N, slices = np.ones(table.num, dtype=bool), table.slices()
    for name, metric in metrics.items():
        if isinstance(metric, str):
            rows.append(Row(item.model, item.item, name, "quality", Estimate(None, reason=metric), None))
            continue
        if metric.among:
            rows += _metric_rows(item, table, name, metric, slices.get(metric.among, ~all_N))
            continue
        rows += _metric_rows(item, table, name, metric, all_N)
        for part, among_N in slices.items():
            rows += [replace(row, metric=f"{row.metric}[{part}]") for row in _metric_rows(item, table, name, metric, among_N)]
    return rows


def _metric_rows(item: StoredItem, table: Table, name: str, metric: Metric, among_N: Mask) -> list[Row]:
    """A metric's rows over the records ``among_N``."""
    labels = tuple(str(label) for label in item.facts["labels"])
    scored_N = among_N & ~table.failed_N
    given = {need: scored_N & table.given(need) for need in sorted(metric.needs)}
    usable_N = np.logical_and.reduce([scored_N, *given.values()])
    num = int(among_N.sum())
    try:
        columns = {need: table.values(need, usable_N) for need in metric.needs}
        estimates = statistics.estimate(
            metric, columns, labels, groups=table.groups(usable_N), n_unscored=num - int(usable_N.sum()), seed=seed_of(item.seed, name)
        )
    except BaseException as error:
        if is_interrupt(error):
            raise
        # A metric is a plugin: where it fails, the other numbers stand.
        estimates = {name: Estimate(None, n_unscored=num, reason=f"the metric failed: {type(error).__name__}: {error}")}
    absent = [need for need, given_N in given.items() if scored_N.any() and not given_N.any()]
    reason = f"no sample is {metric.among}" if not num else (table.unscored or f"the task gives no {absent[0]!r}") if absent else ""
    if reason:
        estimates = {key: replace(e, reason=reason) for key, e in estimates.items()}
    # A safety task's accuracy is about safety; its calibration error is about calibration all the same.
    dimension = str(item.facts["dimension"]) if metric.dimension == "quality" else metric.dimension
    error_seen = table.first_error if num else None
    return [
        Row(item.model, item.item, key, dimension, explained(e, error_seen), metric.higher_is_better, metric.unit)
        for key, e in estimates.items()
    ]


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


def _manifest(store: Store, suite: Mapping[str, Any], items: Sequence[StoredItem], flags: Sequence[str]) -> dict[str, Any]:
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
        "name": store.name, "version": store.version, "versions": _plain(items[0].facts.get("versions", {})) if items else {},
        "digest": store.digest, "seed": suite["seed"], "models": models, "items": described,
        "data": {i.task: {"notes": list(i.facts["data_notes"])} for i in items if i.facts.get("data_notes")},
        "skipped": [_plain(s) for s in suite.get("skipped", ())], "flags": list(flags),
        "set_aside": [{"model": i.model, "item": i.item, "why": why, "num_records": store.count(i)} for i, why in store.set_aside()],
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
        if item.facts.get("caution"):
            yield f"{where}: {item.facts['caution']}"
        yield from (f"{where}: {caution}" for caution in item.facts.get("data_cautions", ()))
        drift, repeated = (value.get((item.model, item.item, DRIFTS[name])) for name in ("batch_drift", "repeat_drift"))
        if repeated is not None and repeated > DRIFT_TOLERANCE:
            yield (
                f"{where}: asked the same again, the model's answer moved by {repeated:.3g} of its spread: it is randomised. Its numbers "
                "are one draw, and an attack on one draw says little of the next: average over draws before attacking it."
            )
        elif drift is not None and drift > DRIFT_TOLERANCE:
            yield (
                f"{where}: an answer moved by {drift:.3g} of its spread with its batch neighbours. In half precision some drift is "
                "expected; in float32 the model mixes its batch, and its numbers depend on what else was asked."
            )
        rounded = value.get((item.model, item.item, "max_precision_drift"))
        if rounded is not None and rounded > DRIFT_TOLERANCE:
            short = item.facts["dtype"].removeprefix("torch.")
            yield f"{where}: in {short} an answer is {rounded:.3g} of its spread away from the one in float32."
        if noted["truncated"]:
            yield f"{where}: {noted['truncated']} of {noted['records']} samples were longer than the model and were cut."
        if item.kind == "probe" and noted["loose"]:
            yield (
                f"{where}: {noted['loose']} of {noted['records']} attributions do not sum to the change they explain, "
                "even at the most steps allowed."
            )
