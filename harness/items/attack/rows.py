"""The rows of an attack, computed from its records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...api.samples import seed_of
from ...api.scorecard import Estimate, QueryCurve, Row
from ...metrics.scores import column_mean, column_median
from ...scorecard.columns import Mask, Table
from ...scorecard.mean_rows import explain_missing, make_mean_row
from ...scorecard.names import DISTANCES, MEDIANS, PER_SLICE, QUERY_BUDGETS, name_accuracy_within
from ...statistics import Evidence
from ...store import StoredItem
from ...threats import is_within


def make_attack_rows(item: StoredItem, table: Table) -> list[Row]:
    """Return the rows of an attack: robust accuracy over all samples; success, queries and distances over attacked ones."""
    rows = [_make_rate_row(item, table, score, "", None) for score in ("robust_correct", "success", "clean_correct")]
    for part, part_N in table.slices().items():
        rows += [_make_rate_row(item, table, score, part, part_N) for score in PER_SLICE if score in table.columns]
    flipped_N = table.given("success")
    flipped_N[flipped_N] = table.values("success", flipped_N) == 1
    rows += _make_curve_rows(item, table, flipped_N)
    # Some attacks search for a twin that keeps the answer.
    wanted_N = table.given("success") if item.facts.get("keeps_answer") else flipped_N
    for name in ("num_queries", *DISTANCES):
        if name in table.columns:
            over_N = None if name == "num_queries" else wanted_N
            rows.append(make_mean_row(item, table, name, f"mean_{name}", "robustness", None, optional=True, among_N=over_N))
    if "num_queries" in table.columns:
        rows.append(_make_median_row(item, table, "num_queries", table.given("num_queries")))
        rows += _make_budget_rows(item, table)
    for name in MEDIANS:
        if name in table.columns:
            rows.append(_make_median_row(item, table, name, flipped_N & table.given(name)))
    for name, noted in (("num_outside_threat", "outside"), ("num_not_attacked", "not_attacked")):
        rows.append(Row(item.model, item.key, name, "robustness", Estimate(float(table.notes[noted]), n=table.num), False))
    return rows


def _make_median_row(item: StoredItem, table: Table, name: str, among_N: Mask) -> Row:
    values = table.values(name, among_N).astype(float)
    evidence = Evidence(column_median(name), name, {name: values}, (), table.ids(among_N), table.groups(among_N))
    estimate = evidence.estimate() if len(values) else Estimate(None, reason="no twin succeeded")
    return Row(item.model, item.key, f"median_{name}", "robustness", estimate, None, evidence=evidence)


def _make_rate_row(item: StoredItem, table: Table, score: str, part: str, part_N: Mask | None) -> Row:
    """Return the row of a rate over all samples or a slice. Its reason counts the samples that could not be attacked."""
    metric, better = PER_SLICE[score]
    # A sample with a wrong clean answer has no success; a sample without another score has failed.
    row = make_mean_row(item, table, score, metric, "robustness", better, optional=score == "success", among_N=part_N, slice=part)
    missed_N = table.given("not_attacked") & (np.ones(table.num, dtype=bool) if part_N is None else part_N)
    if score == "clean_correct" or not missed_N.any():
        return row
    missed = f"samples that could not be attacked and keep their clean answer: {int(missed_N.sum())}"
    return replace(row, estimate=replace(row.estimate, reason="; ".join(filter(None, [row.estimate.reason, missed]))))


def make_query_curve(item: StoredItem, table: Table) -> QueryCurve | None:
    """Return the attack's successes by its number of queries; None if no success has a count of queries."""
    counted_N = table.given("success") & table.given("num_queries")
    queries = table.values("num_queries", counted_N)[table.values("success", counted_N) == 1]
    if not len(queries):
        return None
    steps, counts = np.unique(queries.astype(np.int64), return_counts=True)
    pairs = zip(steps.tolist(), counts.cumsum().tolist(), strict=True)
    return QueryCurve(item.model, item.key, int(table.given("success").sum()), tuple(pairs))


def _make_budget_rows(item: StoredItem, table: Table) -> list[Row]:
    """Return the success rates within query budgets, over the samples with a right clean answer.

    A successful attack without a query count is not scored.
    """
    success_N = table.given("success")
    success_N[success_N] = table.values("success", success_N) == 1
    queries_N = np.full(table.num, math.inf)
    queries_N[table.given("num_queries")] = table.values("num_queries", table.given("num_queries"))
    counted_N = table.given("success") & (table.given("num_queries") | ~success_N)
    flipped, queries, missing = success_N[counted_N], queries_N[counted_N], int((table.given("success") & ~counted_N).sum())
    rows = []
    for most in QUERY_BUDGETS:
        name = f"success_within_{most}_queries"
        within = {name: (flipped & (queries <= most)).astype(float)}
        seed = seed_of(item.seed, name)
        evidence = Evidence(column_mean(name), name, within, (), table.ids(counted_N), table.groups(counted_N), missing, seed)
        rows.append(Row(item.model, item.key, name, "robustness", evidence.estimate(), False, evidence=evidence))
    return rows


def _make_curve_rows(item: StoredItem, table: Table, flipped_N: Mask) -> list[Row]:
    """Return robust accuracy at each of an attack's ``epsilons``: a sample is broken at radii of at least its twin's distance."""
    threat, epsilons = item.facts.get("threat"), item.facts["settings"].get("epsilons") or ()
    if not isinstance(threat, Mapping) or threat["type"] != "LpBall":
        return []
    norm, bound = threat["norm"], threat["epsilon"]
    far_N = np.full(table.num, math.inf)
    measured_N = flipped_N & table.given(norm)
    far_N[measured_N] = table.values(norm, measured_N)
    usable_N = table.given("robust_correct")
    robust_N = table.values("robust_correct", usable_N)
    rows: list[Row] = []
    for epsilon in sorted(set(epsilons)):
        within_N = is_within(far_N, epsilon)[usable_N]
        # The twin is farther away than this radius: the sample is still right.
        kept_N = np.where(flipped_N[usable_N] & ~within_N, 1.0, robust_N)
        name = name_accuracy_within(epsilon)
        if bound is not None and epsilon > bound:
            evidence = None
            estimate = Estimate(None, n_unscored=table.num, reason=f"the threat's epsilon is {bound:.6g}: no twin is farther away")
        else:
            evidence = Evidence(
                column_mean(name), name, {name: kept_N}, (), table.ids(usable_N), table.groups(usable_N), int((~usable_N).sum()),
                seed_of(item.seed, name),
            )  # fmt: skip
            estimate = evidence.estimate()
        estimate = explain_missing(estimate, table.first_error)
        rows.append(Row(item.model, item.key, "robust_accuracy", "robustness", estimate, True, about=f"{epsilon:.6g}", evidence=evidence))
    return rows
