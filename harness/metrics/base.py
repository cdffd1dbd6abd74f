"""The contract of a metric.

A metric is a local `evaluate` module: `evaluate_columns` gives its value, by scikit-learn wherever that has it, and `intervals` its
interval, by the method of `statistics` that fits its kind. `resampled` is the same statistic under sample weights, for R bootstrap
resamples at once (a resample is a vector of counts): what two runs are compared by, and the interval of a metric that declares no method. A
test holds the two equal: ``resampled(counts)`` is ``evaluate_columns`` of the samples repeated that often.

Shape legend: N samples, R resamples, C classes, B bins, U distinct scores.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import datasets
import numpy as np
from numpy.typing import NDArray

from ..api.errors import ConfigError
from ..statistics.bootstrap import bootstrap_intervals
from ..statistics.groups import Groups
from ..statistics.intervals import Interval
from ..statistics.statistic import Columns, Scores
from ..system.quiet_import import hide_module

# Its evaluators, which no metric uses, import transformers' pipelines and with them torch: two thirds of the time to start a verb.
with hide_module("transformers"):
    import evaluate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Metric(evaluate.Metric):  # type: ignore[misc]
    """Base of all metrics: a few facts, `evaluate_columns` and `resampled`.

    ``needs``: the columns it reads. ``kind``: of number, as the table of coverage in docs/statistics.md has it. ``dimension``: where the
    scorecard shows it. ``among``: the slice of samples that it is about, where that is not all of them. One metric may give several numbers
    (``f1[negative]``, ``f1[positive]``), which `names` lists. A number that is not defined on these samples (ROC-AUC with one class) is
    left out by `evaluate_columns`, and `undefined` says why.

    Outside the harness it is used as any `evaluate` metric: ``F1Macro().compute(predictions=[0, 1], references=[0, 0])``. ``inputs``: what
    `compute` takes, by name and `datasets` feature; `columns` turns it into columns. Nothing is downloaded or written to a cache.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "number of your own"
    needs: ClassVar[frozenset[str]]
    higher_is_better: ClassVar[bool | None]
    dimension: ClassVar[str] = "quality"
    among: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    inputs: ClassVar[Mapping[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True, seed=0)

    def names(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """The numbers this metric gives for these class names."""
        return (self.name,)

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        """Those of `names` that are not defined on these samples, each with the reason."""
        return {}

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        """The value of each name that is defined on these samples, of which there is at least one: `resampled` with each counted once,
        where a metric has no library to ask."""
        if self.undefined(columns, labels):
            return {}
        once_1N = np.ones((1, len(next(iter(columns.values())))))
        return {name: float(values[0]) for name, values in self.resampled(once_1N, columns, labels).items()}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        """The values [R] of each name under each row of weights (counts, not all zero); NaN where a resample leaves it undefined."""
        raise NotImplementedError

    def per_sample(self, columns: Columns, labels: tuple[str, ...]) -> Scores | None:
        """The scores of which the number is the mean, where it is one: two runs are then compared by the samples' own differences."""
        return None

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> Mapping[str, Interval]:
        """The 95 % interval of each name that is defined on these samples. Every metric of the harness has a method of its own kind; one
        that has only `resampled` has the percentile bootstrap (`statistics.bootstrap`), which covers less than it promises on few samples
        or near an end of a scale."""
        return bootstrap_intervals(self, columns, labels, groups, seed)

    def columns(self, **inputs: Any) -> Columns:
        """The arguments of `compute` as columns: the same names, unless a family says otherwise."""
        return {name: np.asarray(values) for name, values in inputs.items()}

    def _compute(self, *, labels: Sequence[str] = (), **inputs: Any) -> dict[str, float | None]:
        """What `compute` answers: every one of `names`, None where it is undefined. ``labels``: class names, by default 0, 1, ..."""
        columns = self.columns(**inputs)
        names = tuple(labels) or _numerals(columns)
        nothing: dict[str, float | None] = dict.fromkeys(self.names(names))
        if not all(map(len, columns.values())):
            return nothing
        return nothing | self.evaluate_columns(columns, names)

    def _info(self) -> evaluate.MetricInfo:
        inputs = self.inputs or {column: datasets.Value("float64") for column in sorted(self.needs)}
        return evaluate.MetricInfo(
            description=inspect.getdoc(type(self)) or "",
            citation="",
            inputs_description=f"\n\nInputs: {', '.join(inputs)}; labels (optional): the class names.",
            features=datasets.Features(inputs),
        )

    def _build_data_dir(self) -> str:
        return ""  # the parent makes a cache folder here, also for what is kept in memory


def check_metric(name: str, metric: Any, /) -> None:
    """Raises `ConfigError` with all that a plugin's metric has not and the harness will use."""
    lacks = [part for part in ("name", "needs", "higher_is_better", "names", "evaluate_columns") if not hasattr(metric, part)]
    if all(getattr(type(metric), part, own) is own for part, own in (("resampled", Metric.resampled), ("intervals", Metric.intervals))):
        lacks.append("resampled")
    if lacks:
        raise ConfigError(f"the metric {name!r} has no {', '.join(lacks)}; windtunnel.harness.metrics.base says what a metric needs")


def _numerals(columns: Columns) -> tuple[str, ...]:
    """Class names for data that came without: as many as the probabilities have columns, else as the largest index asks for."""
    if "probabilities" in columns:
        num_classes = columns["probabilities"].shape[-1]
    else:
        num_classes = 1 + max((int(columns[name].max(initial=-1)) for name in ("prediction", "target") if name in columns), default=-1)
    return tuple(map(str, range(num_classes)))
