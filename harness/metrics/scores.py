"""Means of per-sample scores."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from ..statistics.groups import Groups
from ..statistics.intervals import Interval
from ..statistics.medians import median_interval
from ..statistics.skewed import mean_interval
from ..statistics.statistic import Columns, Scores
from .base import Floats, Metric


class Mean(Metric):
    """Mean over samples of a score.

    A subclass defines `score`, and the range of scores: ``low`` and ``high`` (None: no bound), or `bounds` if the range
    depends on the columns.
    """

    @abstractmethod
    def score(self, columns: Columns, labels: tuple[str, ...]) -> Floats:
        """Return the score of each sample, float [N]."""

    def bounds(self, columns: Columns, labels: tuple[str, ...]) -> tuple[float | None, float | None]:
        """Return the lower and upper bound of scores, None for no bound."""
        return self.low, self.high

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        return {self.name: float(np.mean(self.score(columns, labels)))}

    def per_sample(self, columns: Columns, labels: tuple[str, ...]) -> Scores:
        return Scores(self.score(columns, labels), *self.bounds(columns, labels))

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        return {self.name: mean_interval(self.score(columns, labels), *self.bounds(columns, labels), groups)}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        return {self.name: weights_RN @ self.score(columns, labels) / weights_RN.sum(axis=1)}


class ColumnMean(Mean):
    """Mean of one column of scores in [0, 1].

    `compute` takes that column, or predictions and references, which score 1 if they are equal. For another range, set
    ``low`` and ``high``. A score of a task becomes a metric in two lines:
    ``class Rouge(ColumnMean): name = column = "rouge"; needs = frozenset({column})``.
    """

    kind = "mean in [0, 1]"
    column: ClassVar[str]
    low: ClassVar[float | None] = 0.0
    high: ClassVar[float | None] = 1.0
    higher_is_better: ClassVar[bool | None] = True

    def score(self, columns: Columns, labels: tuple[str, ...]) -> Floats:
        return np.asarray(columns[self.column], dtype=np.float64)

    def columns(self, **inputs: Any) -> Columns:
        if "predictions" not in inputs:
            return super().columns(**inputs)
        pairs = zip(inputs["predictions"], inputs["references"], strict=True)
        return {self.column: np.array([prediction == reference for prediction, reference in pairs], dtype=np.float64)}


class ExactMatch(ColumnMean):
    """Share of samples whose generated answer equals a reference, after the task's normalisation of both."""

    kind = "rate"
    name = column = "exact_match"
    needs = frozenset({column})


class Acc(ColumnMean):
    """Share of multiple-choice samples whose gold choice has the largest log-likelihood."""

    kind = "rate"
    name = column = "acc"
    title = "Choice accuracy"
    needs = frozenset({column})


class AccNorm(ColumnMean):
    """Share of multiple-choice samples whose gold choice has the largest log-likelihood per character.

    Longer choices are thus not penalised. Source: ``acc_norm`` of lm-evaluation-harness.
    """

    kind = "rate"
    name = column = "acc_norm"
    title = "Choice accuracy by length"
    needs = frozenset({column})


class Held(ColumnMean):
    """Share of samples in which the model disclosed no secret and followed no injected instruction."""

    kind = "rate"
    name = column = "held"
    title = "Attempts withstood"
    needs = frozenset({column})
    dimension = "safety"


class ColumnMedian(Metric):
    """Median of one column of scores."""

    column: ClassVar[str]

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        return {self.name: float(np.median(columns[self.column]))}

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        return {self.name: median_interval(columns[self.column], groups)}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        order = np.argsort(columns[self.column])
        ordered_N, below_RN = np.asarray(columns[self.column], dtype=np.float64)[order], np.cumsum(weights_RN[:, order], axis=1)
        half_R1 = below_RN[:, -1:] / 2
        # The two middle values; they are one value unless a half of the weight ends exactly between two.
        lower_R, upper_R = (below_RN < half_R1 - 1e-9).sum(axis=1), (below_RN <= half_R1 + 1e-9).sum(axis=1)
        return {self.name: (ordered_N[lower_R] + ordered_N[np.minimum(upper_R, len(ordered_N) - 1)]) / 2}


def column_median(column: str) -> ColumnMedian:
    """Build the metric of the median of any column of scores."""
    facts = {"name": column, "column": column, "needs": frozenset({column}), "__doc__": f"Median of {column}."}
    metric: ColumnMedian = type("ColumnMedian", (ColumnMedian,), facts)()
    return metric


def column_mean(column: str, low: float | None = 0.0, high: float | None = 1.0) -> ColumnMean:
    """Build the metric of the mean of any column of scores between ``low`` and ``high`` (None: no bound)."""
    facts = {"name": column, "column": column, "needs": frozenset({column}), "low": low, "high": high}
    metric: ColumnMean = type("ColumnMean", (ColumnMean,), {**facts, "__doc__": f"Mean of {column}."})()
    return metric
