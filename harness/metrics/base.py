"""The contract of a metric.

A metric is a local `evaluate` module: `evaluate_columns` gives its value, by scikit-learn wherever that has it. For its interval it also gives
`resampled`: the same statistic under sample weights, for R bootstrap resamples at once (a resample is a vector of counts that sum to n).
A test holds the two equal: ``resampled(ones)`` is ``evaluate_columns``.

Shape legend: N samples, R resamples, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
"""What a metric sees, one row a scored sample: ``prediction`` int [N], ``target`` int [N], ``probabilities`` float [N, C], and any score a
task gives, float [N] (``correct``, ``exact_match``, ``loglikelihood``, ``num_tokens``, ``num_words``, ``num_bytes``, ...)."""


class Metric:
    """Base of all metrics.

    ``needs``: the columns it reads. ``interval``: ``wilson`` for the mean of a 0/1 column, else ``bootstrap``. Names returned by both
    methods are the same; one metric may give several numbers (``f1[negative]``, ``f1[positive]``). A number that is not defined
    on these samples (ROC-AUC with one class) is left out of the result with `undefined` saying why.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]]
    higher_is_better: ClassVar[bool]
    dimension: ClassVar[str] = "quality"
    interval: ClassVar[str] = "bootstrap"
    unit: ClassVar[str] = ""

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        raise NotImplementedError

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        raise NotImplementedError
