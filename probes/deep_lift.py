"""DeepLIFT with the rescale rule (Shrikumar, Greenside, Kundaje 2017, arXiv:1704.02685), with Captum.

A sample whose attributions do not sum to the logit's change fails.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..harness.api.errors import ConfigError, SampleError
from ..harness.api.model_port import ModelPort
from ..harness.api.probe import Probe
from ..harness.api.samples import Attribution, Sample
from ..harness.api.settings import Size
from .baselines import Baseline, check_baseline, describe_baseline
from .explained import check_target, choose_classes
from .gradients import GradientWork, Rows
from .positions import Values, sum_by_position

if TYPE_CHECKING:
    import torch

_FLOOR = 1e-3
"""Smallest allowed error in logits, because rounding dominates if the logit hardly changes."""


class DeepLift(Probe):
    """Propagate the logit's difference from a neutral image back to the pixels by the rescale rule.

    tolerance: allowed difference between the sum of attributions and the change of the logit, as a share of
        the change (at least 0.001). A sample that misses it fails.
    target: explained class, ``predicted`` or ``gold``.
    baseline: neutral image: a grey from 0 to 1, ``mean`` or ``blur``. Default: black.

    Channels are summed. The rule supports linear layers and modules of ReLU, LeakyReLU, ELU, Sigmoid, Tanh,
    Softplus, Softmax and max-pooling, each used once per pass. A function such as ``F.relu``, a GELU or a
    normalisation by the sample's own statistics counts with its gradient. For a max-pooling next to an
    activation Captum uses the gradient, too: the sum then holds if the neutral image's maps are constant
    within each window, and misses at padded borders if the module normalises its pixels.

    Raises `ConfigError` for models with attention, whose attributions sum to about 0: use
    ``integrated_gradients``.

    completeness_error: |sum of attributions - (logit of the sample - logit of the neutral image)| (summation
        to delta, equation 1).

    Reference: A. Shrikumar, P. Greenside, A. Kundaje. Learning Important Features Through Propagating
    Activation Differences. ICML 2017.
    """

    requires = frozenset({"classify", "image", "gradients"})

    def __init__(self, *, tolerance: Size = 0.01, target: str = "predicted", baseline: Baseline = None) -> None:
        if not tolerance > 0:
            raise ConfigError(f"deep_lift's tolerance is a share above 0, not {tolerance}")
        self.tolerance, self.target, self.baseline = tolerance, check_target(target), check_baseline(baseline)
        self.starts_from = describe_baseline(baseline)

    def trial(self) -> DeepLift:
        return self

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = choose_classes(engine, samples, self.target)
        found: dict[int, Values] = {}
        with engine.differentiable() as net:
            attending = next((type(part).__name__ for part in net.module.modules() if type(part).__name__.endswith("Attention")), None)
            if attending:
                raise ConfigError(
                    f"deep_lift does not hold for models with attention ({attending}): its attributions would sum to about nothing, not "
                    "to the change of the logit. Take integrated_gradients"
                )
            work = GradientWork(engine, net, samples, targets, self.baseline)
            changes = work.changes()
            # The neutral image takes a second row of the batch.
            for rows in work.passes(range(len(samples)), cost=lambda length: 2 * length):
                found.update(zip(rows.indices, sum_by_position(_rescale(rows), None, rows.encoded.domain), strict=True))
        return [work.attribution(i, found[i], self._check_sum(float(found[i].sum()), changes[i])) for i in range(len(samples))]

    def _check_sum(self, total: float, change: float) -> float:
        """Return the error of the sum. Raises `SampleError` if it exceeds the tolerance."""
        error = abs(total - change)
        if error > max(_FLOOR, self.tolerance * abs(change)):
            raise SampleError(
                f"deep_lift's attributions sum to {total:.4g}, but the logit moves by {change:.4g}: the model has a part that the rescale "
                "rule does not know (a function in the place of a module such as nn.ReLU, GELU, max-pooling next to a ReLU). Take "
                "integrated_gradients"
            )
        return error


def _rescale(rows: Rows) -> torch.Tensor:
    """Return Captum's attributions [N, C, H, W], from one pass over the rows and their neutral images."""
    import torch
    from captum.attr import DeepLift as Captum

    class Explained(torch.nn.Module):
        """The model as a module for Captum, which puts inputs and baselines into one batch."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = rows.net.module

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return rows.net.logits(features, rows.encoded, rows.places.repeat(len(features) // len(rows.places)))

    with _clean_modules(rows.net.module), warnings.catch_warnings():
        # Captum warns that it sets and removes hooks. `untouched` checks that none is left.
        warnings.simplefilter("ignore")
        found: torch.Tensor = Captum(Explained()).attribute(rows.features, rows.baseline, target=rows.targets)
    return found.detach()


@contextmanager
def _clean_modules(module: torch.nn.Module) -> Iterator[None]:
    """Remove the attributes that Captum leaves on activation modules when a pass fails."""
    before = [(part, set(vars(part))) for part in module.modules()]
    try:
        yield
    finally:
        for part, names in before:
            for name in set(vars(part)) - names:
                delattr(part, name)
