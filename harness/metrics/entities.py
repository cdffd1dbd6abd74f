"""Scores of entities, named spans of words, which count as found if span and type are right.

Shape legend: N samples, R resamples.
"""

from __future__ import annotations

import numpy as np

from ..statistics.intervals import Mask
from ..statistics.statistic import Columns
from .base import Floats
from .summed import Summed

COUNTS = ("entities_found", "entities_predicted", "entities_named")
"""Scores of a sample: entities that are predicted rightly, predicted, and named by the reference."""


class EntityF1(Summed):
    """F1 of all entities: 2 found / (predicted + named). Equals the micro average of seqeval, and conlleval."""

    name = "entity_f1"
    title = "Entity F1"
    needs = frozenset(COUNTS)

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        is_defined = self.is_defined(self.count(columns).sum(axis=0, keepdims=True))[0]
        return {} if is_defined else {self.name: "there are no entities to divide by"}

    def is_defined(self, totals_RK: Floats) -> Mask:
        return self._weigh(totals_RK) > 0

    def count(self, columns: Columns) -> Floats:
        return np.stack([np.asarray(columns[name], dtype=np.float64) for name in COUNTS], axis=1)

    def score_totals(self, totals_RK: Floats) -> Floats:
        weight_R = self._weigh(totals_RK)
        return np.divide(totals_RK[:, 0], weight_R, out=np.zeros(len(totals_RK)), where=weight_R > 0)

    def make_perfect(self, sample_1K: Floats) -> Floats:
        return np.repeat(self._weigh(sample_1K)[:, None], 3, axis=1)

    def make_wrong(self, sample_1K: Floats) -> Floats:
        wrong_1K: Floats = sample_1K * np.array([0.0, 1.0, 1.0])
        return wrong_1K

    def _weigh(self, totals_RK: Floats) -> Floats:
        """Return the denominator, of which a perfect result has found all."""
        weight_R: Floats = (totals_RK[:, 1] + totals_RK[:, 2]) / 2
        return weight_R


class EntityPrecision(EntityF1):
    """Share of the predicted entities that are right."""

    name = "entity_precision"
    title = "Entity precision"

    def _weigh(self, totals_RK: Floats) -> Floats:
        return totals_RK[:, 1]


class EntityRecall(EntityF1):
    """Share of the named entities that are found."""

    name = "entity_recall"
    title = "Entity recall"

    def _weigh(self, totals_RK: Floats) -> Floats:
        return totals_RK[:, 2]
