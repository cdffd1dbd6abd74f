"""Charts of classification tasks: which classes are confused, and how accuracy follows confidence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ... import statistics
from ...api.samples import seed_of
from ...api.scorecard import ConfidenceBin, Confusion, Figure, Reliability
from ...metrics.scores import column_mean
from ...scorecard.columns import Mask, Table
from ...store import StoredItem

NUM_BINS = 10
"""Bins of confidence, of equal width between 0 and 1."""


def make_task_figures(item: StoredItem, table: Table, /) -> Iterator[Figure]:
    """Yield the charts of a task with one class per sample, from the columns that its metrics read; none for other tasks."""
    labels = tuple(str(label) for label in item.facts["labels"])
    scored_N = table.given("target") & ~table.failed_N
    both_N = scored_N & table.given("prediction")
    target, prediction = table.values("target", both_N), table.values("prediction", both_N)
    if both_N.any() and _are_classes(target, len(labels)) and _are_classes(prediction, len(labels)):
        pairs, counts = np.unique(np.stack([target, prediction], axis=1).astype(np.int64), axis=0, return_counts=True)
        cells = zip(pairs[:, 0].tolist(), pairs[:, 1].tolist(), counts.tolist(), strict=True)
        yield Confusion(item.model, item.key, labels, tuple(cells))
    sure_N = scored_N & table.given("probabilities")
    if sure_N.any() and _are_classes(table.values("target", sure_N), len(labels)):
        yield from _make_reliability(item, table, sure_N, len(labels))


def _are_classes(values: NDArray[np.generic], num: int) -> bool:
    """Tell whether the values are positions of ``num`` classes."""
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.number):
        return False
    numbers = values.astype(float)
    return bool(np.all((numbers >= 0) & (numbers < num) & (numbers == np.floor(numbers))))


def _make_reliability(item: StoredItem, table: Table, sure_N: Mask, num_classes: int) -> Iterator[Reliability]:
    try:
        probabilities_NC = table.values("probabilities", sure_N).astype(float)
    except ValueError:  # samples with other numbers of choices have no common classes
        return
    if probabilities_NC.ndim != 2 or probabilities_NC.shape[1] != num_classes:
        return
    confidence_N = probabilities_NC.max(axis=1)
    right_N = (probabilities_NC.argmax(axis=1) == table.values("target", sure_N)).astype(float)
    edges = np.arange(1, NUM_BINS) / NUM_BINS
    bin_N = np.digitize(confidence_N, edges, right=True)
    groups = np.array(table.groups(sure_N), dtype=object)
    bins = []
    for place in np.unique(bin_N).tolist():
        within_N = bin_N == place
        own_groups = groups[within_N].tolist() if len(groups) else ()
        seed = seed_of(item.seed, f"confidence bin {place}")
        found = statistics.estimate(column_mean("right"), {"right": right_N[within_N]}, (), groups=own_groups, seed=seed)["right"]
        mean = float(confidence_N[within_N].mean())
        bins.append(ConfidenceBin(place / NUM_BINS, (place + 1) / NUM_BINS, mean, found))
    yield Reliability(item.model, item.key, num_classes, tuple(bins))
