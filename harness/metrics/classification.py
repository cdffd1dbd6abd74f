"""Metrics of the predicted class.

All are functions of three counts per class: true positives, predicted and support. A resample needs no confusion matrix,
so 1000 classes cost hardly more than two.

Averages run over the classes that occur in target or prediction (scikit-learn's ``labels=None``), anew for each
resample. A ratio with denominator zero is 0 (``zero_division=0``), such as the precision of a class that is never
predicted. A class that occurs in neither has no precision, recall or F1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..statistics.groups import Groups
from ..statistics.intervals import Interval, Mask
from ..statistics.statistic import Columns
from .base import Floats, Ints, import_scores
from .class_counts import Counts, one_class, ratio, read_classes
from .class_metric import ClassMetric, PerClass
from .scores import Mean


class Accuracy(Mean):
    """Share of samples whose predicted class is the target."""

    kind = "accuracy"
    name = "accuracy"
    needs = ClassMetric.needs
    arguments = ClassMetric.arguments
    higher_is_better = True
    low, high = 0.0, 1.0

    def score(self, columns: Columns, labels: tuple[str, ...]) -> Floats:
        target_N, prediction_N = read_classes(columns, labels)
        right_N: Floats = (target_N == prediction_N).astype(np.float64)
        return right_N


class F1Micro(Accuracy):
    """F1 of the counts summed over classes.

    With one class per sample, every error is one false positive and one false negative, so value and interval equal
    those of the accuracy.
    """

    name = "f1_micro"
    title = "F1, micro average"


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
        matthews_R = ratio(covariance_R, np.sqrt(prediction_R * target_R))
        return np.where(target_R > 0, matthews_R, np.nan)


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
        if not np.any(np.concatenate(read_classes(columns, labels)) == 1):
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


def _average(values_RC: Floats, weights_RC: Floats | NDArray[np.bool_]) -> Floats:
    """Return the mean over classes under class weights, [R]."""
    averages: Floats = (values_RC * weights_RC).sum(axis=1) / weights_RC.sum(axis=1)
    return averages
