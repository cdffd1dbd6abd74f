"""Data of charts that rows cannot hold, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from .item_key import ItemKey
from .scorecard import Estimate


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each class is predicted for each class.

    ``labels``: the names of the classes. ``cells``: (target, prediction, count) by the classes' positions, without counts of 0.
    """

    model: str
    key: ItemKey
    labels: tuple[str, ...]
    cells: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """The samples whose confidence lies in (``low``, ``high``]: their mean confidence, and their accuracy."""

    low: float
    high: float
    confidence: float
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class Reliability:
    """Accuracy by confidence, which is the probability of the predicted class. ``bins``: those that have samples."""

    model: str
    key: ItemKey
    num_classes: int
    bins: tuple[ConfidenceBin, ...]


@dataclass(frozen=True, slots=True)
class QueryCurve:
    """An attack's successes by its number of queries.

    ``num_attacked``: samples with a right answer. ``steps``: (queries, samples that succeed within so many), rising.
    """

    model: str
    key: ItemKey
    num_attacked: int
    steps: tuple[tuple[int, int], ...]


Figure = Confusion | Reliability | QueryCurve
