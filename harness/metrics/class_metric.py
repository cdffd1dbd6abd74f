"""Base classes of metrics of the predicted class: one value from all classes, or one value per class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from ..statistics.confusion import counts_interval
from ..statistics.groups import Groups
from ..statistics.intervals import Interval, Mask
from ..statistics.means import bounded_mean
from ..statistics.statistic import Columns
from .base import Floats, Ints, Metric, import_scores
from .class_counts import Counts, read_classes


class ClassMetric(Metric):
    """A metric of ``prediction`` and ``target`` (class indices).

    A subclass defines `score` with scikit-learn, and `statistic`, the same from counts, for resamples.
    """

    needs = frozenset({"prediction", "target"})
    higher_is_better = True
    low, high = 0.0, 1.0
    arguments: ClassVar[Mapping[str, str]] = {"predictions": "prediction", "references": "target"}

    def score(self, target_N: Ints, prediction_N: Ints) -> float:
        """Return the value, computed by scikit-learn."""
        raise NotImplementedError

    def statistic(self, counts: Counts) -> Floats:
        """Return the value from the counts of each resample, [R]; NaN if undefined."""
        raise NotImplementedError

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        if self.undefined(columns, labels):
            return {}
        return {self.name: float(self.score(*read_classes(columns, labels)))}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        return self.of_counts(Counts.of(weights_RN, *read_classes(columns, labels), len(labels)), labels)

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        if self.undefined(columns, labels):
            return {}
        interval = counts_interval(
            lambda *counts: self.statistic(Counts(*counts)), *read_classes(columns, labels), len(labels), self.low, self.high, groups
        )
        return {self.name: interval}

    def of_counts(self, counts: Counts, labels: tuple[str, ...]) -> dict[str, Floats]:
        """Return the values [R] of each name from the counts of R resamples."""
        return {self.name: self.statistic(counts)}


class PerClass(ClassMetric):
    """One value per class, such as ``f1[negative]``. Undefined for a class in neither target nor prediction."""

    stem: ClassVar[str]
    scorer: ClassVar[str]
    ratio: ClassVar[Callable[[Counts], Floats]]

    def names(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{self.stem}[{label}]" for label in labels)

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        occurring = set(np.concatenate(read_classes(columns, labels)).tolist())
        reason = "the class occurs in neither target nor prediction"
        return {name: reason for index, name in enumerate(self.names(labels)) if index not in occurring}

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        target_N, prediction_N = read_classes(columns, labels)
        scores = getattr(import_scores(), self.scorer)(target_N, prediction_N, labels=range(len(labels)), average=None, zero_division=0)
        undefined = self.undefined(columns, labels)
        return {name: float(score) for name, score in zip(self.names(labels), scores, strict=True) if name not in undefined}

    def of_counts(self, counts: Counts, labels: tuple[str, ...]) -> dict[str, Floats]:
        values_RC = np.where(counts.occurs_RC, type(self).ratio(counts), np.nan)
        return dict(zip(self.names(labels), values_RC.T, strict=True))

    @staticmethod
    def denominator(is_target_N: Mask, is_predicted_N: Mask) -> Mask:
        """Return the samples in the denominator of the rate, bool [N]: of the class by target, prediction, or either."""
        raise NotImplementedError

    def of_rate(self, rate: float) -> float:
        """Convert the rate to the value."""
        return rate

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        target_N, prediction_N = read_classes(columns, labels)
        return {
            name: _class_interval(self, target_N == index, prediction_N == index, groups).mapped(self.of_rate)
            for index, name in enumerate(self.names(labels))
            if name not in self.undefined(columns, labels)
        }


def _class_interval(metric: PerClass, is_target_N: Mask, is_predicted_N: Mask, groups: Groups) -> Interval:
    among_N = metric.denominator(is_target_N, is_predicted_N)
    if not among_N.any():
        return Interval.none("the class was never predicted" if is_target_N.any() else "no sample is of this class")
    return bounded_mean((is_target_N & is_predicted_N)[among_N].astype(np.float64), 0.0, 1.0, groups.among(among_N))
