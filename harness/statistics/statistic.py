"""The interface of a metric for estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from numpy.typing import NDArray

from .groups import Groups
from .intervals import Floats, Interval

Columns = Mapping[str, NDArray[Any]]
"""Columns with one row per scored sample: ``prediction`` int [N], ``target`` int [N], ``probabilities`` float [N, C], and
the scores of the task, float [N] (``correct``, ``exact_match``, ``loglikelihood``, ``num_tokens``, ...)."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The score of each sample, and the bounds of scores; None for no bound."""

    values_N: Floats
    low: float | None
    high: float | None


class Statistic(Protocol):
    """Computes one or several values from columns, by name; `metrics.base.Metric` documents the methods."""

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]]

    def names(self, labels: tuple[str, ...]) -> tuple[str, ...]: ...

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]: ...

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]: ...

    def per_sample(self, columns: Columns, labels: tuple[str, ...]) -> Scores | None: ...

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]: ...

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> Mapping[str, Interval]: ...
