"""The data of charts, against scikit-learn and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.samples import Record
from windtunnel.harness.api.scorecard import Confusion, QueryCurve, Reliability
from windtunnel.harness.items.attack.rows import make_query_curve
from windtunnel.harness.items.task.figures import NUM_BINS, make_task_figures
from windtunnel.harness.scorecard.columns import Table
from windtunnel.harness.store import StoredItem

LABELS = ("a", "b", "c")


def _item(program: str = "", labels: tuple[str, ...] = LABELS) -> StoredItem:
    key = ItemKey("attack" if program else "task", "t", program)
    return StoredItem(1, "m", key, 0, "", "", "", 0, {"labels": labels, "settings": {}, "primary": "correct"})


def _draw(num: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.integers(0, 3, num), rng.dirichlet((1.0, 0.7, 0.5), num)


def _table(target: np.ndarray, probabilities: np.ndarray) -> Table:
    records = [
        (Record(str(i), "t", {}, None, {"prediction": int(p.argmax()), "probabilities": p.tolist()}), int(y), None)
        for i, (y, p) in enumerate(zip(target, probabilities, strict=True))
    ]
    failed = (Record("failed", "t", {}, "SampleError: too long", {}), 0, None)
    return Table.of([*records, failed], {"target", "prediction", "probabilities"})


def test_confusion_is_that_of_scikit_learn() -> None:
    target, probabilities = _draw()
    confusion = next(f for f in make_task_figures(_item(), _table(target, probabilities)) if isinstance(f, Confusion))
    counts = np.zeros((3, 3), dtype=int)
    for row, column, count in confusion.cells:
        counts[row, column] = count
    assert counts.tolist() == confusion_matrix(target, probabilities.argmax(axis=1)).tolist()
    assert confusion.labels == LABELS


def test_reliability_is_that_of_scikit_learn() -> None:
    target, probabilities = _draw()
    found = next(f for f in make_task_figures(_item(), _table(target, probabilities)) if isinstance(f, Reliability))
    right, confidence = probabilities.argmax(axis=1) == target, probabilities.max(axis=1)
    accuracy, mean = calibration_curve(right, confidence, n_bins=NUM_BINS, strategy="uniform")
    assert [b.accuracy.value for b in found.bins] == pytest.approx(accuracy.tolist())
    assert [b.confidence for b in found.bins] == pytest.approx(mean.tolist())
    assert sum(b.accuracy.n for b in found.bins) == len(target)
    assert all(b.low < b.confidence <= b.high for b in found.bins)
    assert all((b.accuracy.low or 0) <= (b.accuracy.value or 0) <= (b.accuracy.high or 0) for b in found.bins)


def test_other_tasks_have_no_such_charts() -> None:
    target, probabilities = _draw(5)
    assert list(make_task_figures(_item(labels=()), _table(target, probabilities))) == []
    records = [(Record("1", "t", {}, None, {"prediction": "Paris"}), "Paris", None)]
    assert list(make_task_figures(_item(), Table.of(records, {"target", "prediction"}))) == []
    assert list(make_task_figures(_item(), Table.of([], {"target", "prediction", "probabilities"}))) == []


def test_the_curve_of_queries_counts_successes() -> None:
    scores = [(1.0, 12.0), (1.0, 3.0), (0.0, 50.0), (1.0, 12.0), (None, None), (1.0, None)]
    records = [(Record(str(i), "swap(t)", {"success": s, "num_queries": q}), 0, None) for i, (s, q) in enumerate(scores)]
    assert make_query_curve(_item("swap"), Table.of(records, None)) == QueryCurve("m", ItemKey("attack", "t", "swap"), 5, ((3, 1), (12, 3)))
    assert make_query_curve(_item("swap"), Table.of(records[2:3], None)) is None
