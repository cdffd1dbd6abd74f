"""Metrics that are a function of statistics summed over samples: matches and totals, edits and lengths.

A resample costs one sum, not a new comparison of answers.

Shape legend: N samples, R resamples, K statistics of a sample.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from ..statistics.groups import Groups
from ..statistics.intervals import Interval, Mask, Z
from ..statistics.means import FEW_GROUPS, effective_rate, rate
from ..statistics.skewed import mean_interval
from ..statistics.statistic import Columns
from .base import Floats, Metric


class Summed(Metric):
    """A function of summed statistics. A subclass defines `count` and `score_totals`, and `make_perfect` and `make_wrong` if it has a
    largest value."""

    kind = "corpus score"
    higher_is_better: ClassVar[bool | None] = True
    low = 0.0
    high: ClassVar[float | None] = 1.0

    @abstractmethod
    def count(self, columns: Columns) -> Floats:
        """Return the statistics of each sample, float [N, K]."""

    @abstractmethod
    def score_totals(self, totals_RK: Floats) -> Floats:
        """Return the value of each row of summed statistics, float [R]; of a row without a value, the smallest (see `is_defined`)."""

    def is_defined(self, totals_RK: Floats) -> Mask:
        """Return which rows of summed statistics have a value, bool [R]; by default all."""
        return np.ones(len(totals_RK), dtype=bool)

    def make_perfect(self, sample_1K: Floats) -> Floats:
        """Return the statistics of a perfect sample of the same size, float [1, K]."""
        raise NotImplementedError

    def make_wrong(self, sample_1K: Floats) -> Floats:
        """Return the statistics of a sample of the same size without a match, float [1, K]."""
        raise NotImplementedError

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        if self.undefined(columns, labels):
            return {}
        return {self.name: float(self.score_totals(self.count(columns).sum(axis=0, keepdims=True))[0])}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        totals_RK = weights_RN @ self.count(columns)
        return {self.name: np.where(self.is_defined(totals_RK), self.score_totals(totals_RK), np.nan)}

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        """Return the interval from the samples' influence on the score, which the jackknife measures (Tukey 1958)."""
        if self.undefined(columns, labels):
            return {}
        statistics_NK = self.count(columns)
        value = float(self.score_totals(statistics_NK.sum(axis=0, keepdims=True))[0])
        if self.high is None:
            return {self.name: self._bound_ratio(statistics_NK, value, groups)}
        return {self.name: self._bound_share(statistics_NK, value, self.high, groups)}

    def _bound_ratio(self, statistics_NK: Floats, value: float, groups: Groups) -> Interval:
        """Return the interval of the mean of the pseudovalues, which have no bound."""
        total_1K, num = statistics_NK.sum(axis=0, keepdims=True), len(statistics_NK)
        pseudo_N = value + (num - 1) * (value - self.score_totals(total_1K - statistics_NK)) if num > 1 else np.array([value])
        interval = mean_interval(pseudo_N + value - pseudo_N.mean(), None, None, groups)
        return interval.mapped(lambda bound: max(bound, self.low or 0.0))

    def _bound_share(self, statistics_NK: Floats, value: float, high: float, groups: Groups) -> Interval:
        """Return the interval of a rate of as many trials as have the score's variance.

        z² / 2 perfect samples and as many without a match are added, so that a perfect result has a variance too (Agresti & Coull 1998).
        """
        right_1K = statistics_NK.mean(axis=0, keepdims=True)
        ends_2K, prior = np.concatenate([self.make_perfect(right_1K), self.make_wrong(right_1K)]), Z**2 / 2
        total_1K = statistics_NK.sum(axis=0, keepdims=True) + prior * ends_2K.sum(axis=0, keepdims=True)
        smoothed, size = float(self.score_totals(total_1K)[0]), len(statistics_NK) + 2 * prior
        influence_N, influence_2 = (size * (smoothed - self.score_totals(total_1K - some)) for some in (statistics_NK, ends_2K))
        variance = (np.square(influence_N).sum() + prior * np.square(influence_2).sum()) / size
        swing = float(np.square(influence_2[0] - influence_2[1]))
        effective = groups.effective_size(influence_N - influence_N.mean(), swing)
        perfect = groups.effective_size(np.zeros(len(influence_N)), swing)
        if effective is None or perfect is None:
            return Interval.none(FEW_GROUPS)
        low, top = effective_rate(value, smoothed, float(variance) / effective, 0.0, high)
        best = high if groups.are_single else high * rate(perfect, perfect)[0]
        return Interval(min(low, best), top)
