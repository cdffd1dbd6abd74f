"""Means of a score that the task gives each sample."""

from __future__ import annotations

from typing import Any, ClassVar

import datasets
import numpy as np

from .base import Columns, Floats, Metric


class Mean(Metric):
    """Mean over samples of a score. A subclass says how one sample scores."""

    def score(self, columns: Columns, labels: tuple[str, ...]) -> Floats:
        """Each sample's score, float [N]."""
        raise NotImplementedError

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        return {self.name: float(np.mean(self.score(columns, labels)))}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        return {self.name: weights_RN @ self.score(columns, labels) / weights_RN.sum(axis=1)}


class ColumnMean(Mean):
    """Mean of one column of scores in [0, 1]. `compute` takes that column; or, where a subclass's ``inputs``
    say so, predictions and references, and scores 1 where they are equal.

    Scores between 0 and 1 (partial credit) make Wilson's interval err on the wide side: with mean p their variance is at most p (1 - p).
    A task's own score becomes a metric in two lines: ``class Rouge(ColumnMean): name = column = "rouge"; needs = frozenset({column})``.
    """

    column: ClassVar[str]
    interval = "wilson"
    higher_is_better: ClassVar[bool | None] = True

    def score(self, columns: Columns, labels: tuple[str, ...]) -> Floats:
        return np.asarray(columns[self.column], dtype=np.float64)

    def columns(self, **inputs: Any) -> Columns:
        if "predictions" not in inputs:
            return super().columns(**inputs)
        pairs = zip(inputs["predictions"], inputs["references"], strict=True)
        return {self.column: np.array([prediction == reference for prediction, reference in pairs], dtype=np.float64)}


class ExactMatch(ColumnMean):
    """Share of samples whose generated answer equals a reference (as the task normalises both)."""

    name = column = "exact_match"
    needs = frozenset({column})
    inputs: ClassVar = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}


class Acc(ColumnMean):
    """Share of multiple-choice samples whose gold choice has the largest log-likelihood."""

    name = column = "acc"
    needs = frozenset({column})
    inputs: ClassVar = {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}


class AccNorm(ColumnMean):
    """Share of multiple-choice samples whose gold choice has the largest log-likelihood per character, so that long choices do not lose by
    their length (`acc_norm` of the lm-evaluation-harness)."""

    name = column = "acc_norm"
    needs = frozenset({column})
    inputs: ClassVar = {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}


class Held(ColumnMean):
    """Share of samples on which the model gave away nothing and followed no planted order."""

    name = column = "held"
    needs = frozenset({column})
    dimension = "safety"


def column_mean(column: str, *, rate: bool) -> ColumnMean:
    """The mean of any score. ``rate``: it lies in [0, 1], so that Wilson's interval holds; else the bootstrap's."""
    facts = {"name": column, "column": column, "needs": frozenset({column}), "interval": "wilson" if rate else "bootstrap"}
    made: ColumnMean = type("ColumnMean", (ColumnMean,), {**facts, "__doc__": f"Mean of {column}."})()
    return made
