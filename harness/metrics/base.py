"""The base class of metrics.

`evaluate_columns` computes the value of a metric, with scikit-learn if that has the metric and it is more than a share of
right answers, and `intervals` its interval, with the method of `statistics` for its kind. `resampled` computes the value
under sample weights for R bootstrap resamples at once (a resample is a vector of counts); it is used to compare two runs,
and for the interval of a metric without a method of its own. A test checks that ``resampled(counts)`` equals
``evaluate_columns`` of the samples repeated that often.

Shape legend: N samples, R resamples, C classes, B bins, U distinct scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..api.bases import require_methods, with_defaults
from ..api.errors import DataError
from ..api.plugins import needed_unless
from ..api.registry import Registry
from ..statistics.bootstrap import bootstrap_intervals
from ..statistics.groups import Groups
from ..statistics.intervals import Interval
from ..statistics.statistic import Columns, Scores

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def import_scores() -> Any:
    """Import ``sklearn.metrics``. It takes longer than all else that a report imports, so only a score that needs it does."""
    from sklearn import metrics

    return metrics


class Metric:
    """Base class of metrics. A subclass sets the class attributes, and defines `evaluate_columns` or `resampled`.

    name: name of the metric, and of its value if it has only one.
    title: the name in words, for people; by default made from the name of a value.
    kind: row of the coverage table in docs/statistics.md.
    needs: the columns that it reads.
    higher_is_better: None if neither.
    dimension: section of the scorecard.
    among: slice of samples that it applies to; empty for all.
    unit: unit of the value.
    low, high: the smallest and the largest possible value; None for no bound. A gate on a number beyond them is refused.

    arguments: the columns that `compute` takes under another name, by that name.

    A metric may have several values (``f1[negative]``, ``f1[positive]``), listed by `names`. A value that is not defined
    on the samples (ROC-AUC with one class) is omitted by `evaluate_columns`, and explained by `undefined`.

    Outside of the harness, call `compute`: ``F1Macro().compute(predictions=[0, 1], references=[0, 0])``.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    kind: ClassVar[str] = "number of your own"
    needs: ClassVar[frozenset[str]]
    higher_is_better: ClassVar[bool | None]
    dimension: ClassVar[str] = "quality"
    among: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    low: ClassVar[float | None] = None
    high: ClassVar[float | None] = None
    arguments: ClassVar[Mapping[str, str]] = {}

    def names(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the metric's values for these class names."""
        return (self.name,)

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        """Return the names of values that are not defined on these samples, each with the reason."""
        return {}

    @needed_unless("resampled")
    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        """Return the value of each name that is defined on these samples (at least one).

        By default `resampled` with weight 1 for each sample.
        """
        if self.undefined(columns, labels):
            return {}
        once_1N = np.ones((1, len(next(iter(columns.values())))))
        return {name: float(values[0]) for name, values in self.resampled(once_1N, columns, labels).items()}

    @needed_unless("intervals")
    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        """Return the values [R] of each name under each row of weights; NaN if undefined in a resample.

        weights_RN: counts of the samples, not all zero.
        """
        raise NotImplementedError

    def per_sample(self, columns: Columns, labels: tuple[str, ...]) -> Scores | None:
        """Return the scores whose mean is the value, so that runs are compared by paired differences; None if it is no mean."""
        return None

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> Mapping[str, Interval]:
        """Return the 95 % interval of each name that is defined on these samples.

        Every built-in metric overrides this with the method for its kind. The default is the percentile bootstrap
        (`statistics.bootstrap`), whose coverage is too low for few samples or near an end of the scale.
        """
        return bootstrap_intervals(self, columns, labels, groups, seed)

    def compute(self, *, labels: Sequence[str] = (), **inputs: Any) -> dict[str, float | None]:
        """Compute every value of `names` outside of the harness; None if it is undefined.

        labels: the class names, by default 0, 1, ...
        inputs: the values of all samples, as `columns` takes them.
        Raises `DataError` if a column that the metric needs is not given.
        """
        columns = self.columns(**inputs)
        if missing := sorted(self.needs - columns.keys()):
            raise DataError(f"the metric {self.name!r} needs {', '.join(missing)}; the arguments are {', '.join(inputs) or 'none'}")
        names = tuple(labels) or _numerals(columns)
        nothing: dict[str, float | None] = dict.fromkeys(self.names(names))
        if not all(map(len, columns.values())):
            return nothing
        return nothing | self.evaluate_columns(columns, names)

    def columns(self, **inputs: Any) -> Columns:
        """Convert the arguments of `compute` to columns."""
        return {self.arguments.get(name, name): np.asarray(values) for name, values in inputs.items()}


def make_metric(name: str, registry: Registry, /) -> Metric:
    """Make a metric by its name, with the defaults of `Metric` where its class does not derive from it.

    Raises `ConfigError` with the attributes and methods that it lacks.
    """
    metric = with_defaults(registry.make("metrics", name), Metric)
    require_methods(f"metric {name!r}", metric, Metric)
    return metric


def _numerals(columns: Columns) -> tuple[str, ...]:
    """Return class names 0, 1, ... for data without names, from the columns of probabilities or the largest index."""
    if "probabilities" in columns:
        num_classes = columns["probabilities"].shape[-1]
    else:
        num_classes = 1 + max((int(columns[name].max(initial=-1)) for name in ("prediction", "target") if name in columns), default=-1)
    return tuple(map(str, range(num_classes)))
