"""Creates rows with the mean of a score and its interval, or with the reason why there is no mean."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..api.samples import seed_of
from ..api.scorecard import Estimate, Row
from ..metrics.scores import column_mean
from ..statistics import Evidence
from ..statistics.intervals import Floats
from ..store import StoredItem
from .columns import Mask, Table
from .names import Bounds, get_bounds

_ROUNDING = 1e-6


def make_mean_row(
    item: StoredItem, table: Table, score: str, metric: str, dimension: str, higher_is_better: bool | None, *,
    optional: bool = False, among_N: Mask | None = None, slice: str = "", control: str = "", about: str = "",
) -> Row:  # fmt: skip
    """Return the row with the mean of a score.

    ``item``, ``table``: the item and its records as columns.
    ``score``: the column.
    ``metric``, ``dimension``, ``higher_is_better``, ``slice``, ``control``, ``about``: fields of the `Row`.
    ``optional``: whether records may lack the score; then only failed records count as unscored.
    ``among_N``: the records to use, bool [N]; None for all.
    """
    over_N = np.ones(table.num, dtype=bool) if among_N is None else among_N
    usable_N = over_N & table.given(score)
    missing_N = table.failed_N & ~usable_N if optional else ~usable_N
    values = table.values(score, usable_N).astype(float)
    bounds = _keep_bounds(values, get_bounds(score))
    evidence = Evidence(
        column_mean(score, *bounds), score, {score: values}, (), table.ids(usable_N), table.groups(usable_N),
        int((over_N & missing_N).sum()), seed_of(item.seed, score),
    )  # fmt: skip
    estimate = explain_missing(evidence.estimate(), table.first_error if among_N is None else None)
    return Row(
        item.model, item.key, metric, dimension, estimate, higher_is_better, slice=slice, control=control, about=about, evidence=evidence
    )


def _keep_bounds(values: Floats, bounds: Bounds) -> Bounds:
    """Return the bounds that all values satisfy, and None for the others: a plugin's score may exceed them."""
    low, high = bounds
    least, most = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    return low if low is not None and least >= low - _ROUNDING else None, high if high is not None and most <= high + _ROUNDING else None


def explain_missing(estimate: Estimate, error: str | None) -> Estimate:
    """Return the estimate with the reason why it has no value, if it has none.

    A value that is not finite is removed. ``error``: the first record's error, which is the reason if no sample was
    scored.
    """
    if estimate.value is not None and not math.isfinite(estimate.value):
        return replace(estimate, value=None, low=None, high=None, reason=f"the metric came out as {estimate.value}")
    if estimate.value is not None or estimate.n > 0:
        return estimate
    return replace(estimate, reason=f"no sample could be scored; the first error was: {error}" if error else estimate.reason)
