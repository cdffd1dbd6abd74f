"""Base class of probes that integrate gradients on the straight path from a neutral input.

The number of steps increases until the sum of the attributions is within a tolerance of the logit's change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..harness.api.errors import ConfigError
from ..harness.api.model_port import ModelPort
from ..harness.api.probe import Probe
from ..harness.api.samples import Attribution, Sample
from .baselines import Baseline, check_baseline, describe_baseline
from .explained import check_target, choose_classes, copy_with
from .gradients import GradientWork
from .positions import Values


def compute_gauss_legendre(num: int, /) -> tuple[Values, Values]:
    """Return Captum's weights [num] and points [num] in [0, 1] of Gauss-Legendre quadrature."""
    from captum.attr._utils.approximation_methods import approximation_parameters

    weights, alphas = (np.array(part(num)) for part in approximation_parameters("gausslegendre"))
    return weights, alphas


class Integral(Probe):
    """Base class of these probes. A subclass defines `sums` or `summed`.

    It overrides `changes` if the attributions do not sum to the logit's change from the neutral input.

    steps: initial number of points.
    tolerance: allowed error of the sum, as a share of the logit's change.
    max_steps: maximum number of points.
    target: explained class, ``predicted`` or ``gold``.
    baseline: neutral input; None uses the model's own.
    Raises `ConfigError` unless 1 <= ``steps`` <= ``max_steps``, or if a setting is unknown.
    """

    requires = frozenset({"classify", "gradients"})
    needs_parts = True

    def __init__(self, *, steps: int, tolerance: float, max_steps: int, target: str, baseline: Baseline) -> None:
        if steps < 1 or max_steps < steps:
            raise ConfigError(f"an integral needs 1 <= steps <= max_steps, not steps {steps} and max_steps {max_steps}")
        self.steps, self.tolerance, self.max_steps = steps, tolerance, max_steps
        self.target, self.baseline = check_target(target), check_baseline(baseline)
        self.starts_from = describe_baseline(baseline)

    def trial(self) -> Integral | None:
        """Return a probe with one step to check the neutral input; None for the model's own, which always fits."""
        return None if self.baseline is None else copy_with(self, steps=1, max_steps=1)

    def changes(self, work: GradientWork, num: int, /) -> Sequence[float | None]:
        """Return the expected sum of each sample's attributions; None if unknown, which keeps the number of steps.

        work: the samples.
        num: number of samples.
        """
        return work.changes()

    def sums(self, work: GradientWork, chosen: Sequence[int], steps: int, /) -> Mapping[int, Values]:
        """Return the values per position of each chosen sample by its index.

        work: the samples.
        chosen: indices of samples.
        steps: number of points.
        """
        raise NotImplementedError

    def summed(self, work: GradientWork, changes: Sequence[float | None], /) -> Mapping[int, tuple[Values, int]]:
        """Return the values per position and the number of steps of every sample by its index.

        Steps are doubled until the error of the sum is within the tolerance or ``max_steps`` is reached. The best sum
        is kept, so a larger ``max_steps`` is never worse.

        work: the samples.
        changes: expected sum of each sample; None if unknown.
        """
        found: dict[int, tuple[Values, int]] = {}
        todo, steps = list(range(len(changes))), self.steps
        while todo and steps <= self.max_steps:
            for index, values in self.sums(work, todo, steps).items():
                if index not in found or _measure_error(values, changes[index]) < _measure_error(found[index][0], changes[index]):
                    found[index] = values, steps
            todo = [i for i in todo if self.misses(float(found[i][0].sum()), changes[i])]
            steps *= 2
        return found

    def allowed(self, change: float, /) -> float:
        """Return the allowed error of a sum, in logits: the tolerance times the change, at least 0.01."""
        return max(0.01, self.tolerance * abs(change))

    def misses(self, total: float, change: float | None, /) -> bool:
        """Return whether the error of a sum exceeds the tolerance; false if the expected sum is unknown."""
        return change is not None and not abs(total - change) <= self.allowed(change)

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = choose_classes(engine, samples, self.target)
        with engine.differentiable() as net:
            work = GradientWork(engine, net, samples, targets, self.baseline)
            changes = self.changes(work, len(samples))
            found = self.summed(work, changes)
            return [self._make_attribution(work, index, change, *found[index]) for index, change in enumerate(changes)]

    def _make_attribution(self, work: GradientWork, index: int, change: float | None, values: Values, steps: int) -> Attribution:
        """Return the attribution of a sample with its completeness error and number of steps."""
        if change is None:
            return work.attribution(index, values, None, {"num_steps": steps})
        total = float(values.sum())
        return work.attribution(index, values, abs(total - change), {"converged": not self.misses(total, change), "num_steps": steps})


def _measure_error(values: Values, change: float | None) -> float:
    """Return the absolute error of the sum; 0 if the expected sum is unknown."""
    return 0.0 if change is None else abs(float(values.sum()) - change)
