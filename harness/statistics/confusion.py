"""Intervals of functions of the counts of each class: averages over classes, correlations.

Shape legend: N samples, C classes, R rows, D directions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .groups import Groups
from .intervals import Floats, Interval, Ints, Mask, Z
from .means import FEW_GROUPS, bounded_mean, effective_rate, rate

Statistic = Callable[[Floats, Floats, Floats], Floats]
"""Maps true positives, predicted and support, each float [R, C], to the value, float [R]."""

Triple = tuple[Floats, Floats, Floats]

PRIOR = 4.0
"""Number of prior samples by which each class is shrunk towards the average class."""
LEAST_OF_A_CLASS, SHARE_OF_SMALL = 3, 0.25
_CHUNK_CELLS = 2**19
_STEP = 1e-3


def counts_interval(
    statistic: Statistic, target_N: Ints, prediction_N: Ints, num_classes: int, low: float, high: float, groups: Groups,
    least_of_each: int = 0,
) -> Interval:  # fmt: skip
    """The interval of a number between ``low`` and ``high``: the delta method on a smoothed confusion matrix, turned into the interval of a
    rate of as many trials as have its variance.

    The rows of the confusion matrix are shrunk by `PRIOR` samples towards the accuracy of all (itself by z² / 2 right and wrong ones,
    Agresti & Coull 1998) and the shares of the predicted classes, so that a perfect result has a variance too. The value's bias is taken
    off. There is none where more than a quarter of the classes have fewer than `LEAST_OF_A_CLASS` samples: their own errors are as good as
    unknown.
    """
    table = _Table.of(target_N, prediction_N, num_classes)
    fewest_C, num_occurring = np.minimum(table.support_C, table.predicted_C)[table.occurs_C], int(table.occurs_C.sum())
    few = int(np.sum(fewest_C < LEAST_OF_A_CLASS))
    if (rarest := int(table.support_C[table.occurs_C].min())) < least_of_each:
        return Interval.none(f"a class has {rarest:,} samples; at least {least_of_each} are needed")
    if few > SHARE_OF_SMALL * num_occurring:
        return Interval.none(f"{few:,} of {num_occurring:,} classes have fewer than {LEAST_OF_A_CLASS} samples or predictions")
    if num_occurring < 2:
        return bounded_mean((target_N == prediction_N).astype(np.float64), low, high, groups)
    slopes = _Slopes.of(statistic, table.smoothed())
    variance, swing = table.variance(slopes), table.swing(slopes)
    errors_N = slopes.of_cells(target_N, prediction_N)
    size = groups.effective_size(errors_N - errors_N.mean(), swing)
    perfect = groups.effective_size(np.zeros(len(target_N)), swing)
    if size is None or perfect is None:
        return Interval.none(FEW_GROUPS)
    n = len(target_N)
    smoothed = float(statistic(*table.smoothed())[0])
    value = float(statistic(*table.counts())[0]) - _estimate_bias(statistic, table.smoothed())
    # One degree of freedom per class was used.
    variance *= n / size * n / (n - num_occurring)
    bounds = effective_rate(value, smoothed, variance, low, high)
    if groups.are_single:
        return Interval(*bounds)
    # No lower bound exceeds that of a perfect result with the same groups.
    best = low + (high - low) * rate(perfect, perfect)[0]
    return Interval(min(bounds[0], best), bounds[1])


@dataclass(frozen=True, slots=True)
class _Slopes:
    """Derivatives of the value by the number of true positives, predicted and target samples of each class, float [C]."""

    found_C: Floats
    predicted_C: Floats
    target_C: Floats

    @classmethod
    def of(cls, statistic: Statistic, counts: Triple) -> _Slopes:
        return cls(*(_differentiate(statistic, counts, (which,))[0] for which in range(3)))

    def of_cells(self, target_N: Ints, prediction_N: Ints) -> Floats:
        added_N: Floats = (
            self.target_C[target_N] + self.predicted_C[prediction_N] + np.where(target_N == prediction_N, self.found_C[target_N], 0.0)
        )
        return added_N


def _differentiate(statistic: Statistic, counts: Triple, moved: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return the first and second derivative of the value, float [C] each, by the counts ``moved`` of one class together.

    Computed by central differences, in blocks of classes.
    """
    num_classes = counts[0].shape[1]
    block, middle = max(1, _CHUNK_CELLS // num_classes), float(statistic(*counts)[0])
    first_C, second_C = np.empty(num_classes), np.empty(num_classes)
    for start in range(0, num_classes, block):
        classes_D = np.arange(start, min(start + block, num_classes))
        step_D = _STEP * (1 + counts[2][0, classes_D])
        ends = []
        for sign in (1, -1):
            rows = [np.repeat(count, len(classes_D), axis=0) for count in counts]
            for which in moved:
                rows[which][np.arange(len(classes_D)), classes_D] += sign * step_D
            ends.append(statistic(*rows))
        first_C[classes_D] = (ends[0] - ends[1]) / (2 * step_D)
        second_C[classes_D] = (ends[0] - 2 * middle + ends[1]) / step_D**2
    return first_C, second_C


def _estimate_bias(statistic: Statistic, counts: Triple) -> float:
    """Return the bias of the value by its second derivatives: an F1 of few samples is too low."""
    right_1C, predicted_1C, support_1C = counts
    wrong = ((support_1C - right_1C, (2,)), (predicted_1C - right_1C, (1,)), (right_1C, (0, 1, 2)))
    return sum(float(mass_1C[0] @ _differentiate(statistic, counts, moved)[1]) / 2 for mass_1C, moved in wrong)


@dataclass(frozen=True, slots=True)
class _Table:
    """A confusion matrix, stored by its samples, and its prior, of which only margins are needed.

    predicted_shares_C: share of each class among the predictions. keep_C: factor on the row's own counts.
    wrong_C: prior mass of each row off the diagonal, per share.
    """

    target_N: Ints
    prediction_N: Ints
    support_C: Floats
    predicted_C: Floats
    right_C: Floats
    accuracy: float
    predicted_shares_C: Floats
    keep_C: Floats
    wrong_C: Floats

    @classmethod
    def of(cls, target_N: Ints, prediction_N: Ints, num_classes: int) -> _Table:
        n = len(target_N)
        is_right_N = target_N == prediction_N
        support_C, predicted_C, right_C = (
            np.bincount(classes_N, minlength=num_classes).astype(np.float64) for classes_N in (target_N, prediction_N, target_N[is_right_N])
        )
        occurs_C = support_C + predicted_C > 0
        accuracy = (right_C.sum() + Z**2 / 2) / (n + Z**2)
        shares_C = np.where(occurs_C, (predicted_C + 1 / occurs_C.sum()) / (n + 1), 0.0)
        keep_C = support_C / (support_C + PRIOR)
        wrong_C = np.where(shares_C < 1, PRIOR * keep_C * (1 - accuracy) / np.maximum(1 - shares_C, 1e-12), 0.0)
        return cls(target_N, prediction_N, support_C, predicted_C, right_C, float(accuracy), shares_C, keep_C, wrong_C)

    @property
    def occurs_C(self) -> Mask:
        occurs_C: Mask = self.support_C + self.predicted_C > 0
        return occurs_C

    def counts(self) -> Triple:
        return self.right_C[None], self.predicted_C[None], self.support_C[None]

    def smoothed(self) -> Triple:
        right_C = (self.right_C + PRIOR * self.accuracy) * self.keep_C
        own_C = np.bincount(self.prediction_N, weights=self.keep_C[self.target_N], minlength=len(self.support_C))
        prior_C = PRIOR * self.accuracy * self.keep_C + self.predicted_shares_C * (self.wrong_C.sum() - self.wrong_C)
        return right_C[None], (own_C + prior_C)[None], self.support_C[None]

    def variance(self, slopes: _Slopes) -> float:
        """Return the variance of the value by the smoothed matrix: sum of cells times squared slopes, minus squared mean."""
        cells_N, weights_N = slopes.of_cells(self.target_N, self.prediction_N), self.keep_C[self.target_N]
        diagonal_C = slopes.target_C + slopes.predicted_C + slopes.found_C
        right_C = PRIOR * self.accuracy * self.keep_C
        q_C, by_C = self.predicted_shares_C, slopes.predicted_C
        first_C = slopes.target_C * (1 - q_C) + (q_C @ by_C - q_C * by_C)
        second_C = (
            slopes.target_C**2 * (1 - q_C) + 2 * slopes.target_C * (q_C @ by_C - q_C * by_C) + (q_C @ by_C**2 - q_C * by_C**2)
        )  # fmt: skip
        first = float(weights_N @ cells_N + right_C @ diagonal_C + self.wrong_C @ first_C)
        second = float(weights_N @ cells_N**2 + right_C @ diagonal_C**2 + self.wrong_C @ second_C)
        return max(second - first**2 / len(self.target_N), 0.0)

    def swing(self, slopes: _Slopes) -> float:
        """Return the mean squared change of the value if one sample is predicted correctly or not."""
        least = slopes.predicted_C[self.occurs_C].min()
        swing_C = slopes.found_C + slopes.predicted_C - least
        return float(self.support_C @ swing_C**2 / self.support_C.sum())
