"""Integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365), at Captum's points and with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..harness.errors import ConfigError
from ..harness.plugins import ModelPort
from ..harness.samples import Attribution, Sample
from .explained import checked_target, explained_classes
from .gradients import GradientWork, Points, Rows, Values

if TYPE_CHECKING:
    import torch


class IntegratedGradients:
    """The class logit's gradient, integrated from a neutral input to the sample, times their difference.

    steps: points of the Gauss-Legendre integral. tolerance: where the attributions miss the change of the logit by more than this
    share of it (and more than 0.01), the steps are doubled, up to max_steps: few are not enough on a saturated classifier. target:
    the explained class, ``predicted`` or ``gold``. Text: the neutral input is padding tokens between the special tokens, and
    sub-tokens are gathered to words. Images: it is black, and channels are summed.

    completeness_error is |sum of attributions - (logit of the sample - logit of the neutral input)| (completeness, axiom 3 of the paper),
    summed over all tokens before they are gathered: special tokens and padding stand in both inputs and are attributed exactly 0.
    converged: whether the error came below the tolerance. num_steps: how many steps that took.
    Reference: M. Sundararajan, A. Taly, Q. Yan. Axiomatic Attribution for Deep Networks. ICML 2017.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"classify", "gradients"})
    inputs: ClassVar[frozenset[str]] = frozenset({"text", "pair", "image"})

    def __init__(self, *, steps: int = 32, tolerance: float = 0.02, max_steps: int = 512, target: str = "predicted") -> None:
        if steps < 1 or max_steps < steps:
            raise ConfigError(f"integrated_gradients needs 1 <= steps <= max_steps, not steps {steps} and max_steps {max_steps}")
        self.steps, self.tolerance, self.max_steps, self.target = steps, tolerance, max_steps, checked_target(target)

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = explained_classes(engine, samples, self.target)
        found: dict[int, Attribution] = {}
        with engine.differentiable() as net:
            work = GradientWork(engine, net, samples, targets)
            changes = work.changes()
            todo, steps = list(range(len(samples))), self.steps
            while todo:
                for index, values in work.sums(todo, *_integral(steps)).items():
                    error = abs(float(values.sum()) - changes[index])
                    facts = {"converged": self._allows(error, changes[index]), "num_steps": steps}
                    found[index] = work.attribution(index, values, error, facts)
                if steps >= self.max_steps:
                    break
                todo = [i for i in todo if not found[i].metadata["converged"]]
                steps = min(2 * steps, self.max_steps)
        return [found[i] for i in range(len(samples))]

    def _allows(self, error: float, change: float) -> bool:
        return error <= max(0.01, self.tolerance * abs(change))


def _integral(steps: int) -> tuple[Values, Points]:
    """Weights and points of the Gauss-Legendre integral on the straight line from the neutral input to the sample."""
    from captum.attr._utils.approximation_methods import approximation_parameters

    weights, alphas = (np.array(part(steps)) for part in approximation_parameters("gausslegendre"))

    def points(rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        difference = rows.features - rows.baseline
        return rows.baseline + rows.per_row(alphas[list(rows.steps)]) * difference, difference

    return weights, points
