"""What the probes share that integrate gradients on the straight line from a neutral input: steps are doubled until the sum is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..harness.errors import ConfigError
from ..harness.plugins import ModelPort
from ..harness.samples import Attribution, Sample
from .baselines import Baseline, checked_baseline
from .explained import checked_target, explained_classes
from .gradients import GradientWork
from .positions import Values


def gauss_legendre(num: int, /) -> tuple[Values, Values]:
    """Captum's weights and points in [0, 1] of the Gauss-Legendre integral."""
    from captum.attr._utils.approximation_methods import approximation_parameters

    weights, alphas = (np.array(part(num)) for part in approximation_parameters("gausslegendre"))
    return weights, alphas


class Integral:
    """Base of these probes. A subclass gives `sums`, and `changes` where it does not sum to the logit's move from the neutral input."""

    requires: ClassVar[frozenset[str]] = frozenset({"classify", "gradients"})
    inputs: ClassVar[frozenset[str]] = frozenset({"text", "pair", "image"})

    def __init__(self, *, steps: int, tolerance: float, max_steps: int, target: str, baseline: Baseline) -> None:
        if steps < 1 or max_steps < steps:
            raise ConfigError(f"an integral needs 1 <= steps <= max_steps, not steps {steps} and max_steps {max_steps}")
        self.steps, self.tolerance, self.max_steps = steps, tolerance, max_steps
        self.target, self.baseline = checked_target(target), checked_baseline(baseline)

    def changes(self, work: GradientWork, num: int, /) -> Sequence[float | None]:
        """What each of the ``num`` samples' attribution is to sum to; None where that is not known, and steps stay as they are."""
        return work.changes()

    def sums(self, work: GradientWork, chosen: Sequence[int], steps: int, /) -> Mapping[int, Values]:
        """The chosen samples' values by position."""
        raise NotImplementedError

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = explained_classes(engine, samples, self.target)
        found: dict[int, Attribution] = {}
        with engine.differentiable() as net:
            work = GradientWork(engine, net, samples, targets, self.baseline)
            changes = self.changes(work, len(samples))
            todo, steps = list(range(len(samples))), self.steps
            while todo:
                for index, values in self.sums(work, todo, steps).items():
                    error, facts = self._measured(float(values.sum()), changes[index])
                    found[index] = work.attribution(index, values, error, {**facts, "num_steps": steps})
                if steps >= self.max_steps:
                    break
                todo = [i for i in todo if not found[i].metadata.get("converged", True)]
                steps = min(2 * steps, self.max_steps)
        return [found[i] for i in range(len(samples))]

    def _measured(self, total: float, change: float | None) -> tuple[float | None, dict[str, Any]]:
        if change is None:
            return None, {}
        error = abs(total - change)
        return error, {"converged": error <= max(0.01, self.tolerance * abs(change))}
