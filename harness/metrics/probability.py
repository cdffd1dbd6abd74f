"""Metrics of predicted probabilities: ranking (ROC-AUC) and calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..api.errors import DataError
from ..statistics.calibration import calibration_interval
from ..statistics.groups import Groups
from ..statistics.intervals import Interval
from ..statistics.ranking import area_interval
from ..statistics.statistic import Columns
from .base import Floats, Ints, Metric, import_scores
from .class_counts import class_column, one_class, totals
from .scores import Mean

SUM_TOLERANCE = 0.02
"""Tolerance for the sum of a row of probabilities: a bfloat16 softmax over many classes is off by about 1 %."""


def probabilities(columns: Columns, labels: tuple[str, ...]) -> Floats:
    """Return the column ``probabilities``, float64 [N, C]. Raises `DataError` if its rows are no distributions over the labels."""
    probabilities_NC = np.asarray(columns["probabilities"], dtype=np.float64)
    if probabilities_NC.ndim != 2 or probabilities_NC.shape[1] != len(labels):
        raise DataError(f"the column 'probabilities' has the shape {probabilities_NC.shape}; the task has {len(labels)} labels")
    if not (np.all(probabilities_NC >= 0) and np.allclose(probabilities_NC.sum(axis=1), 1, rtol=0, atol=SUM_TOLERANCE)):
        raise DataError("the column 'probabilities' has a row that is negative, not finite or does not sum to 1 (are they logits?)")
    return probabilities_NC


class _Probabilistic(Metric):
    needs = frozenset({"probabilities", "target"})
    arguments: ClassVar[Mapping[str, str]] = {"predictions": "probabilities", "references": "target"}

    @staticmethod
    def _read(columns: Columns, labels: tuple[str, ...]) -> tuple[Ints, Floats]:
        return class_column("target", columns, len(labels)), probabilities(columns, labels)


class RocAuc(_Probabilistic):
    """Area under the ROC curve: the probability that a sample of the class scores above another; ties count half.

    Two labels: by the probability of the last label. More: the macro average of one-vs-rest over the classes in the
    target. Undefined if the target has only one class. Source: Hanley & McNeil 1982.
    """

    kind = "ROC-AUC"
    name = "roc_auc"
    low, high = 0.0, 1.0
    title = "ROC AUC"
    higher_is_better = True

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        return one_class(self.name, columns["target"])

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        if self.undefined(columns, labels):
            return {}
        target_N, probabilities_NC = self._read(columns, labels)
        areas = [
            import_scores().roc_auc_score(target_N == index, probabilities_NC[:, index]) for index in self._positives(target_N, labels)
        ]
        return {self.name: float(np.mean(areas))}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        target_N, probabilities_NC = self._read(columns, labels)
        sum_R, num_R = np.zeros(len(weights_RN)), np.zeros(len(weights_RN))
        for index in self._positives(target_N, labels):
            area_R = _weighted_auc(weights_RN, target_N == index, probabilities_NC[:, index])
            sum_R += np.nan_to_num(area_R)
            num_R += ~np.isnan(area_R)
        return {self.name: np.divide(sum_R, num_R, out=np.full(len(sum_R), np.nan), where=num_R > 0)}

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        if self.undefined(columns, labels):
            return {}
        target_N, probabilities_NC = self._read(columns, labels)
        classes = [(target_N == index, probabilities_NC[:, index]) for index in self._positives(target_N, labels)]
        return {self.name: area_interval(classes, groups)}

    @staticmethod
    def _positives(target_N: Ints, labels: tuple[str, ...]) -> list[int]:
        return [1] if len(labels) == 2 else np.unique(target_N).tolist()


def _weighted_auc(weights_RN: Floats, positive_N: NDArray[np.bool_], score_N: Floats) -> Floats:
    """Return the ROC-AUC under each row of weights, [R]; NaN if positives or negatives have no weight.

    Scores are ranked once. In rank order, positives win against all negatives with a lower score and tie with those of
    the same score:

        AUC = sum_u pos_u (neg_<u + neg_u / 2) / (pos neg)
    """
    order_N = np.argsort(score_N, kind="stable")
    starts_U = np.flatnonzero(np.diff(score_N[order_N], prepend=-np.inf))
    weights_RN = weights_RN[:, order_N]
    positive_RU = np.add.reduceat(weights_RN * positive_N[order_N], starts_U, axis=1)
    negative_RU = np.add.reduceat(weights_RN * ~positive_N[order_N], starts_U, axis=1)
    won_R = (positive_RU * (np.cumsum(negative_RU, axis=1) - negative_RU / 2)).sum(axis=1)
    pairs_R = positive_RU.sum(axis=1) * negative_RU.sum(axis=1)
    area_R: Floats = np.divide(won_R, pairs_R, out=np.full(len(won_R), np.nan), where=pairs_R > 0)
    return area_R


class LogLoss(_Probabilistic, Mean):
    """Mean of -ln(probability of the target), in nats.

    Rows are normalised to sum to 1, and probabilities clipped to [eps, 1 - eps] with the eps of float64, as in
    scikit-learn: a target with probability 0 costs 36.04, not infinity.
    """

    kind = "log loss"
    name = "log_loss"
    higher_is_better = False
    dimension = "calibration"
    unit = "nats"

    low = 0.0

    def bounds(self, columns: Columns, labels: tuple[str, ...]) -> tuple[float | None, float | None]:
        """Return 0 and the largest possible loss on these samples, from the smallest predicted probability of any class."""
        probabilities_NC = probabilities(columns, labels)
        least = float((probabilities_NC.min(axis=1) / probabilities_NC.sum(axis=1)).min())
        return 0.0, -math.log(max(least, float(np.finfo(np.float64).eps)))

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        return {} if self.undefined(columns, labels) else super().intervals(columns, labels, groups, seed)

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        return {} if len(labels) > 1 else {self.name: "one class only: nothing to predict"}

    def score(self, columns: Columns, labels: tuple[str, ...]) -> Floats:
        target_N, probabilities_NC = self._read(columns, labels)
        chosen_N = probabilities_NC[np.arange(len(target_N)), target_N] / probabilities_NC.sum(axis=1)
        eps = np.finfo(np.float64).eps
        loss_N: Floats = -np.log(np.clip(chosen_N, eps, 1 - eps))
        return loss_N

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        if self.undefined(columns, labels):
            return {}
        target_N, probabilities_NC = self._read(columns, labels)
        normalised_NC = probabilities_NC / probabilities_NC.sum(axis=1, keepdims=True)
        return {self.name: float(import_scores().log_loss(target_N, normalised_NC, labels=range(len(labels))))}


class Brier(_Probabilistic, Mean):
    """Brier score. Two labels: the mean of (p - y)^2, in [0, 1]. More: summed over classes, in [0, 2] (Brier 1950).

    scikit-learn has the same two scales since 1.7 (``brier_score_loss(scale_by_half="auto")``).
    """

    kind = "Brier score"
    name = "brier"
    low, high = 0.0, 2.0
    title = "Brier score"
    higher_is_better = False
    dimension = "calibration"

    def bounds(self, columns: Columns, labels: tuple[str, ...]) -> tuple[float | None, float | None]:
        return 0.0, 1.0 if len(labels) == 2 else 2.0

    def score(self, columns: Columns, labels: tuple[str, ...]) -> Floats:
        expected_NC, probabilities_NC = self._one_hot(columns, labels)
        return np.asarray(_brier_scale(labels) * np.mean((expected_NC - probabilities_NC) ** 2, axis=1))

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        return {self.name: _brier_scale(labels) * float(import_scores().mean_squared_error(*self._one_hot(columns, labels)))}

    def _one_hot(self, columns: Columns, labels: tuple[str, ...]) -> tuple[Floats, Floats]:
        target_N, probabilities_NC = self._read(columns, labels)
        expected_NC: Floats = (target_N[:, None] == np.arange(len(labels))).astype(np.float64)
        return expected_NC, probabilities_NC


def _brier_scale(labels: tuple[str, ...]) -> int:
    """Return the factor from the mean over classes to the Brier score; with two classes, both columns are equal."""
    return 1 if len(labels) == 2 else len(labels)


class Ece(_Probabilistic):
    """Expected calibration error: the mean gap between confidence and accuracy over bins of confidence (Guo et al. 2017).

        ECE = sum_b |B_b| / N  |accuracy(B_b) - confidence(B_b)|,   B_b = ((b - 1) / B, b / B]

    Confidence is the probability of the top label; bins have equal width. With few samples the value is biased upwards,
    because noise in a bin counts as a gap; the interval is not (`statistics.calibration`).

    num_bins: number of bins B.
    """

    kind = "ECE"
    name = "ece"
    low, high = 0.0, 1.0
    title = "Expected calibration error"
    higher_is_better = False
    dimension = "calibration"

    def __init__(self, num_bins: int = 15) -> None:
        if num_bins < 1:
            raise ValueError(f"num_bins is {num_bins}; at least 1 is needed")
        super().__init__()
        self.num_bins = num_bins

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        confidence_N, right_N, bin_N = self._binned(columns, labels)
        return {self.name: calibration_interval(confidence_N, right_N, bin_N, self.num_bins, groups, seed)}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        confidence_N, right_N, bin_N = self._binned(columns, labels)
        gaps_RB = totals(weights_RN * (right_N - confidence_N), bin_N, self.num_bins)
        return {self.name: np.abs(gaps_RB).sum(axis=1) / weights_RN.sum(axis=1)}

    def _binned(self, columns: Columns, labels: tuple[str, ...]) -> tuple[Floats, Floats, Ints]:
        """Return for each sample the confidence, 1 if correct else 0, and the index of its bin."""
        target_N, probabilities_NC = self._read(columns, labels)
        confidence_N = probabilities_NC.max(axis=1)
        edges = np.arange(1, self.num_bins) / self.num_bins  # rightly rounded, so that a confidence of 0.6 is on the edge 9 / 15
        right_N = (probabilities_NC.argmax(axis=1) == target_N).astype(np.float64)
        return confidence_N, right_N, np.digitize(confidence_N, edges, right=True)
