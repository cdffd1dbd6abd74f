"""Metrics of the predicted class.

All are functions of three counts per class: true positives, predicted and support. A resample needs no confusion matrix,
so 1000 classes cost hardly more than two.

Averages run over the classes that occur in target or prediction (scikit-learn's ``labels=None``), anew for each
resample. A ratio with denominator zero is 0 (``zero_division=0``), such as the precision of a class that is never
predicted. A class that occurs in neither has no precision, recall or F1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..api.errors import DataError
from ..statistics.confusion import counts_interval
from ..statistics.groups import Groups
from ..statistics.intervals import Interval, Mask
from ..statistics.means import bounded_mean
from ..statistics.statistic import Columns, Scores
from .base import Floats, Ints, Metric


def import_scores() -> Any:
    """Import ``sklearn.metrics``. It takes longer than all else that a report imports, so only a score that needs it does."""
    from sklearn import metrics

    return metrics


def class_column(name: str, columns: Columns, num_classes: int) -> Ints:
    """Return a column of class indices, int [N]. Raises `DataError` for other types, or an index without a label."""
    classes_N = np.asarray(columns[name])
    if not np.issubdtype(classes_N.dtype, np.integer):
        raise DataError(f"the column {name!r} has type {classes_N.dtype}, not class indices")
    if classes_N.size and not (classes_N.min() >= 0 and classes_N.max() < num_classes):
        wrong = classes_N[(classes_N < 0) | (classes_N >= num_classes)][0]
        raise DataError(f"the column {name!r} has the class {wrong}; the task has {num_classes} labels, from 0 on")
    return classes_N.astype(np.int64)


def totals(weights_RN: Floats, bins_N: Ints, num_bins: int) -> Floats:
    """Sum the weights in each bin. weights_RN: float; bins_N: bin of each sample. Returns [R, B]."""
    num = len(bins_N)
    members_BN = csr_array((np.ones(num), (bins_N, np.arange(num))), shape=(num_bins, num))
    return np.asarray((members_BN @ weights_RN.T).T)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


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
        return _ratio(self.true_positives_RC, self.predicted_RC)

    def recall(self) -> Floats:
        """TP / (TP + FN), [R, C]."""
        return _ratio(self.true_positives_RC, self.support_RC)

    def f1(self) -> Floats:
        """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall (van Rijsbergen 1979), [R, C]."""
        return _ratio(2 * self.true_positives_RC, self.predicted_RC + self.support_RC)


def _average(values_RC: Floats, weights_RC: Floats | NDArray[np.bool_]) -> Floats:
    """Return the mean over classes under class weights, [R]."""
    averages: Floats = (values_RC * weights_RC).sum(axis=1) / weights_RC.sum(axis=1)
    return averages


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
        return {self.name: float(self.score(*self._classes(columns, labels)))}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        return self.of_counts(Counts.of(weights_RN, *self._classes(columns, labels), len(labels)), labels)

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        if self.undefined(columns, labels):
            return {}
        interval = counts_interval(
            lambda *counts: self.statistic(Counts(*counts)), *self._classes(columns, labels), len(labels), self.low, self.high, groups
        )
        return {self.name: interval}

    def of_counts(self, counts: Counts, labels: tuple[str, ...]) -> dict[str, Floats]:
        """Return the values [R] of each name from the counts of R resamples."""
        return {self.name: self.statistic(counts)}

    @staticmethod
    def _classes(columns: Columns, labels: tuple[str, ...]) -> tuple[Ints, Ints]:
        return class_column("target", columns, len(labels)), class_column("prediction", columns, len(labels))


class Accuracy(ClassMetric):
    """Share of samples whose predicted class is the target."""

    kind = "accuracy"
    name = "accuracy"

    def per_sample(self, columns: Columns, labels: tuple[str, ...]) -> Scores:
        target_N, prediction_N = self._classes(columns, labels)
        return Scores((target_N == prediction_N).astype(np.float64), 0.0, 1.0)

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        return {self.name: bounded_mean(self.per_sample(columns, labels).values_N, 0.0, 1.0, groups)}

    def score(self, target_N: Ints, prediction_N: Ints) -> float:
        return float(import_scores().accuracy_score(target_N, prediction_N))

    def statistic(self, counts: Counts) -> Floats:
        return _ratio(counts.true_positives_RC.sum(axis=1), counts.support_RC.sum(axis=1))


class F1Micro(Accuracy):
    """F1 of the counts summed over classes.

    With one class per sample, every error is one false positive and one false negative, so value and interval equal
    those of the accuracy.
    """

    name = "f1_micro"
    title = "F1, micro average"

    def score(self, target_N: Ints, prediction_N: Ints) -> float:
        return float(import_scores().f1_score(target_N, prediction_N, average="micro", zero_division=0))


class BalancedAccuracy(ClassMetric):
    """Mean recall of the classes that occur in the target (Brodersen et al. 2010); chance is 1 / C."""

    kind = "balanced accuracy"
    name = "balanced_accuracy"

    def score(self, target_N: Ints, prediction_N: Ints) -> float:
        # As sklearn's balanced_accuracy_score, which would warn about a predicted class that is not in the target.
        return float(import_scores().recall_score(target_N, prediction_N, labels=np.unique(target_N), average="macro", zero_division=0))

    def statistic(self, counts: Counts) -> Floats:
        return _average(counts.recall(), counts.support_RC > 0)


class PrecisionMacro(ClassMetric):
    """Unweighted mean over classes of TP / (TP + FP)."""

    kind = "macro precision"
    name = "precision_macro"
    title = "Precision, macro average"

    def score(self, target_N: Ints, prediction_N: Ints) -> float:
        return float(import_scores().precision_score(target_N, prediction_N, average="macro", zero_division=0))

    def statistic(self, counts: Counts) -> Floats:
        return _average(counts.precision(), counts.occurs_RC)


class RecallMacro(ClassMetric):
    """Unweighted mean over classes of TP / (TP + FN). Unlike balanced accuracy, a class that is only predicted counts as 0."""

    kind = "macro recall"
    name = "recall_macro"
    title = "Recall, macro average"

    def score(self, target_N: Ints, prediction_N: Ints) -> float:
        return float(import_scores().recall_score(target_N, prediction_N, average="macro", zero_division=0))

    def statistic(self, counts: Counts) -> Floats:
        return _average(counts.recall(), counts.occurs_RC)


class F1Macro(ClassMetric):
    """Unweighted mean over classes of F1: the mean of F1 scores, not the F1 of means (Opitz & Burst 2019)."""

    kind = "macro-F1"
    name = "f1_macro"
    title = "F1, macro average"

    def score(self, target_N: Ints, prediction_N: Ints) -> float:
        return float(import_scores().f1_score(target_N, prediction_N, average="macro", zero_division=0))

    def statistic(self, counts: Counts) -> Floats:
        return _average(counts.f1(), counts.occurs_RC)


class F1Weighted(ClassMetric):
    """Mean over classes of F1, weighted by support."""

    kind = "weighted F1"
    name = "f1_weighted"
    title = "F1, weighted by class"

    def score(self, target_N: Ints, prediction_N: Ints) -> float:
        return float(import_scores().f1_score(target_N, prediction_N, average="weighted", zero_division=0))

    def statistic(self, counts: Counts) -> Floats:
        return _average(counts.f1(), counts.support_RC)


class Matthews(ClassMetric):
    """Matthews correlation coefficient, in [-1, 1], for any number of classes (Gorodkin 2004).

    A constant prediction scores 0. Undefined for a constant target.
    """

    kind = "Matthews"
    name = "matthews"
    title = "Matthews correlation"
    low = -1.0

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        return one_class(self.name, columns["target"])

    def score(self, target_N: Ints, prediction_N: Ints) -> float:
        return float(import_scores().matthews_corrcoef(target_N, prediction_N))

    def statistic(self, counts: Counts) -> Floats:
        total_R = counts.support_RC.sum(axis=1)
        covariance_R = total_R * counts.true_positives_RC.sum(axis=1) - (counts.predicted_RC * counts.support_RC).sum(axis=1)
        prediction_R = total_R**2 - (counts.predicted_RC**2).sum(axis=1)
        target_R = total_R**2 - (counts.support_RC**2).sum(axis=1)
        matthews_R = _ratio(covariance_R, np.sqrt(prediction_R * target_R))
        return np.where(target_R > 0, matthews_R, np.nan)


def one_class(name: str, target_N: Ints) -> dict[str, str]:
    """Return the reason why ``name`` is undefined, by name, if the target has only one class; else nothing."""
    return {name: "the target has one class only"} if len(np.unique(target_N)) < 2 else {}


class PerClass(ClassMetric):
    """One value per class, such as ``f1[negative]``. Undefined for a class in neither target nor prediction."""

    stem: ClassVar[str]
    scorer: ClassVar[str]
    ratio: ClassVar[Callable[[Counts], Floats]]

    def names(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{self.stem}[{label}]" for label in labels)

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        occurring = set(np.concatenate(self._classes(columns, labels)).tolist())
        reason = "the class occurs in neither target nor prediction"
        return {name: reason for index, name in enumerate(self.names(labels)) if index not in occurring}

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        target_N, prediction_N = self._classes(columns, labels)
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
        target_N, prediction_N = self._classes(columns, labels)
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


class PrecisionPerClass(PerClass):
    """TP / (TP + FP) of each class: the share of its predictions that are correct."""

    kind = "precision of a class"
    name, stem = "precision_per_class", "precision"
    scorer, ratio = "precision_score", Counts.precision

    @staticmethod
    def denominator(is_target_N: Mask, is_predicted_N: Mask) -> Mask:
        return is_predicted_N


class RecallPerClass(PerClass):
    """TP / (TP + FN) of each class: the share of its samples that are predicted as the class."""

    kind = "recall of a class"
    name, stem = "recall_per_class", "recall"
    scorer, ratio = "recall_score", Counts.recall

    @staticmethod
    def denominator(is_target_N: Mask, is_predicted_N: Mask) -> Mask:
        return is_target_N


class F1PerClass(PerClass):
    """F1 of each class, 2 TP / (2 TP + FP + FN).

    Its interval is that of the rate J = TP / (TP + FP + FN), converted by F1 = 2 J / (1 + J): the indirect method of
    Lam, Gopal & Qian 2023, arXiv:2309.14621.
    """

    kind = "F1"
    name, stem = "f1_per_class", "f1"
    scorer, ratio = "f1_score", Counts.f1

    @staticmethod
    def denominator(is_target_N: Mask, is_predicted_N: Mask) -> Mask:
        return is_target_N | is_predicted_N

    def of_rate(self, rate: float) -> float:
        return 2 * rate / (1 + rate)


class F1(ClassMetric):
    """F1 of the positive class of two; the last label is the positive one. Undefined for any other number of labels."""

    kind = "F1"
    name = "f1"

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        if len(labels) != 2:
            return {self.name: f"f1 is for two classes, not {len(labels)}; f1_macro and f1_per_class take any number"}
        if not np.any(np.concatenate(self._classes(columns, labels)) == 1):
            return {self.name: "the positive class occurs in neither target nor prediction"}
        return {}

    def score(self, target_N: Ints, prediction_N: Ints) -> float:
        return float(import_scores().f1_score(target_N, prediction_N, labels=[1], average="macro", zero_division=0))

    def statistic(self, counts: Counts) -> Floats:
        if counts.support_RC.shape[1] != 2:
            return np.full(len(counts.support_RC), np.nan)
        return np.where(counts.occurs_RC, counts.f1(), np.nan)[:, 1]

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        if self.undefined(columns, labels):
            return {}
        each = F1PerClass()
        return {self.name: each.intervals(columns, labels, groups, seed)[each.names(labels)[1]]}
