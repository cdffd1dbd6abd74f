"""Columns of class indices, and counts of each class under sample weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..api.errors import DataError
from ..statistics.statistic import Columns
from .base import Floats, Ints


def class_column(name: str, columns: Columns, num_classes: int) -> Ints:
    """Return a column of class indices, int [N]. Raises `DataError` for other types, or an index without a label."""
    classes_N = np.asarray(columns[name])
    if not np.issubdtype(classes_N.dtype, np.integer):
        raise DataError(f"the column {name!r} has type {classes_N.dtype}, not class indices")
    if classes_N.size and not (classes_N.min() >= 0 and classes_N.max() < num_classes):
        wrong = classes_N[(classes_N < 0) | (classes_N >= num_classes)][0]
        raise DataError(f"the column {name!r} has the class {wrong}; the task has {num_classes} labels, from 0 on")
    return classes_N.astype(np.int64)


def read_classes(columns: Columns, labels: tuple[str, ...]) -> tuple[Ints, Ints]:
    """Return the target and the prediction of each sample, int [N] each. Raises `DataError` as `class_column` does."""
    return class_column("target", columns, len(labels)), class_column("prediction", columns, len(labels))


def one_class(name: str, target_N: Ints) -> dict[str, str]:
    """Return the reason why ``name`` is undefined, by name, if the target has only one class; else nothing."""
    return {name: "the target has one class only"} if len(np.unique(target_N)) < 2 else {}


def totals(weights_RN: Floats, bins_N: Ints, num_bins: int) -> Floats:
    """Sum the weights in each bin. weights_RN: float; bins_N: bin of each sample. Returns [R, B]."""
    from scipy.sparse import csr_array  # not on top: a report whose values are means needs no resample

    num = len(bins_N)
    members_BN = csr_array((np.ones(num), (bins_N, np.arange(num))), shape=(num_bins, num))
    return np.asarray((members_BN @ weights_RN.T).T)


@dataclass(frozen=True, slots=True)
class Counts:
    """Weighted counts of each class: correctly predicted, predicted, and in the target."""

    true_positives_RC: Floats
    predicted_RC: Floats
    support_RC: Floats

    @classmethod
    def of(cls, weights_RN: Floats, target_N: Ints, prediction_N: Ints, num_classes: int) -> Counts:
        return cls(
            totals(weights_RN * (target_N == prediction_N), target_N, num_classes),
            totals(weights_RN, prediction_N, num_classes),
            totals(weights_RN, target_N, num_classes),
        )

    @property
    def occurs_RC(self) -> NDArray[np.bool_]:
        return self.predicted_RC + self.support_RC > 0

    def precision(self) -> Floats:
        """TP / (TP + FP), [R, C]."""
        return ratio(self.true_positives_RC, self.predicted_RC)

    def recall(self) -> Floats:
        """TP / (TP + FN), [R, C]."""
        return ratio(self.true_positives_RC, self.support_RC)

    def f1(self) -> Floats:
        """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall (van Rijsbergen 1979), [R, C]."""
        return ratio(2 * self.true_positives_RC, self.predicted_RC + self.support_RC)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide; 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
