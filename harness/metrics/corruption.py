"""Error rates under common corruptions (Hendrycks & Dietterich 2019, arXiv:1903.12261)."""

from __future__ import annotations

import numpy as np

from ..statistics.groups import Groups
from ..statistics.intervals import Interval
from ..statistics.means import bounded_mean
from ..statistics.statistic import Columns
from .base import Floats, Metric
from .scores import ColumnMean

KINDS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow", "frost", "fog",
    "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip
_SEVERITIES = 5
_MEAN = "mean_corruption_error_unnormalised"


class CorruptionError(Metric):
    """Error rate for each corruption and severity, for each corruption, and over all; not normalised by a baseline."""

    kind = "mean in [0, 1]"
    name = "corruption_error"
    low, high = 0.0, 1.0
    needs = frozenset({"corruption_errors"})
    higher_is_better = False
    dimension = "robustness"

    def names(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        each = [f"error[{kind} {severity}]" for kind in KINDS for severity in range(1, _SEVERITIES + 1)]
        return (_MEAN, *(f"error[{kind}]" for kind in KINDS), *each)

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        means = _errors(columns).mean(0)
        return dict(zip(self.names(labels), map(float, means), strict=True))

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        return {
            name: bounded_mean(errors_N, 0.0, 1.0, groups) for name, errors_N in zip(self.names(labels), _errors(columns).T, strict=True)
        }

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        means = weights_RN @ _errors(columns) / weights_RN.sum(axis=1)[:, None]
        return dict(zip(self.names(labels), means.T, strict=True))


def _errors(columns: Columns) -> Floats:
    """Return errors [N, 1 + 15 + 75], in the order of `CorruptionError.names`."""
    errors_NKS = np.asarray(columns["corruption_errors"], dtype=np.float64)
    by_kind_NK = errors_NKS.mean(2)
    return np.concatenate([by_kind_NK.mean(1, keepdims=True), by_kind_NK, errors_NKS.reshape(len(errors_NKS), -1)], axis=1)


class MeanCorruptionError(ColumnMean):
    """Mean corruption error: the mean over corruptions of the error, summed over severities, relative to a baseline model.

    1 is the baseline; lower is better. The task has the baseline errors as a setting, and computes for each sample the
    value if all predictions were wrong (``most_error_over_baseline``).
    """

    name = "mce"
    high = None
    title = "Mean corruption error"
    column, most = "error_over_baseline", "most_error_over_baseline"
    needs = frozenset({column, most})
    higher_is_better = False
    dimension = "robustness"

    def bounds(self, columns: Columns, labels: tuple[str, ...]) -> tuple[float | None, float | None]:
        return 0.0, float(np.max(columns[self.most]))
