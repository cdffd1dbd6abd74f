"""The rows of a task's metrics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...api.samples import seed_of
from ...api.scorecard import Estimate, Row
from ...metrics.base import Metric
from ...scorecard.columns import Mask, Table
from ...scorecard.mean_rows import explain_missing
from ...scorecard.measures import measure_of
from ...scorecard.names import split_name
from ...statistics import Evidence
from ...store import StoredItem
from ...system.interrupts import is_interrupt
from ..base.results import RunResults


def make_metric_rows(item: StoredItem, table: Table, results: RunResults) -> list[Row]:
    """Return a row per metric, and per metric and slice. A metric about one slice only has a row for that slice."""
    rows: list[Row] = []
    all_N, slices = np.ones(table.num, dtype=bool), table.slices()
    for name, metric in results.metrics[item.id].items():
        if isinstance(metric, str):
            rows.append(Row(item.model, item.key, name, "quality", Estimate(None, reason=metric), None))
            continue
        whole = slices.get(metric.among, ~all_N) if metric.among else all_N
        metric_rows = _make_rows(item, table, name, metric, whole)
        for part, among_N in () if metric.among else slices.items():
            metric_rows += [replace(row, slice=part) for row in _make_rows(item, table, name, metric, among_N)]
        for row in metric_rows:
            results.measures[row.metric] = measure_of(
                row.metric, type(metric).__doc__ or "", metric.higher_is_better, metric.title, metric.kind, (metric.low, metric.high)
            )
        rows += metric_rows
    return rows


def _make_rows(item: StoredItem, table: Table, name: str, metric: Metric, among_N: Mask) -> list[Row]:
    """Compute a metric's rows over the records ``among_N``."""
    labels = tuple(str(label) for label in item.facts["labels"])
    scored_N = among_N & ~table.failed_N
    given = {need: scored_N & table.given(need) for need in sorted(metric.needs)}
    usable_N = np.logical_and.reduce([scored_N, *given.values()])
    num = int(among_N.sum())
    try:
        columns = {need: table.values(need, usable_N) for need in metric.needs}
        evidence = Evidence(
            metric, name, columns, labels, table.ids(usable_N), table.groups(usable_N), num - int(usable_N.sum()), seed_of(item.seed, name)
        )
        estimates = evidence.estimate_all()
    except BaseException as error:
        if is_interrupt(error):
            raise
        # A metric is a plugin: if it fails, the other numbers stay valid.
        estimates, evidence = {name: Estimate(None, n_unscored=num, reason=f"the metric failed: {type(error).__name__}: {error}")}, None
    absent = [need for need, given_N in given.items() if scored_N.any() and not given_N.any()]
    reason = f"no sample is {metric.among}" if not num else (table.unscored or f"the task gives no {absent[0]!r}") if absent else ""
    if reason:
        estimates = {key: replace(e, reason=reason) for key, e in estimates.items()}
    # A quality metric belongs to the task's dimension (safety, say); a calibration metric stays in its own.
    dimension = str(item.facts["dimension"]) if metric.dimension == "quality" else metric.dimension
    error_seen = table.first_error if num else None
    rows = []
    for key, estimate in estimates.items():
        stem, about = split_name(key)
        shown = explain_missing(estimate, error_seen)
        rows.append(
            Row(item.model, item.key, stem, dimension, shown, metric.higher_is_better, metric.unit, about=about,
                evidence=evidence and replace(evidence, name=key))
        )  # fmt: skip
    return rows
