"""Neuron conductance (Dhamdhere, Sundararajan, Yan 2018, arXiv:1805.12233)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..harness.api.errors import ConfigError, SampleError
from ..harness.api.model_port import ModelPort
from ..harness.api.probe import Probe
from ..harness.api.samples import Attribution, Sample
from ..harness.api.settings import Count
from .baselines import Baseline, check_baseline, describe_baseline
from .explained import check_target, choose_classes, copy_with
from .gradients import GradientWork, Rows, add_weighted
from .integral import compute_gauss_legendre
from .layers import Layer, as_it_is
from .positions import Values

if TYPE_CHECKING:
    import torch


class NeuronConductance(Probe):
    """Measure the contribution of each word or pixel to the class's logit through one neuron.

    layer: name in the module, e.g. ``bert.encoder.layer.2`` or ``fc1``.
    neuron: index in the layer's output for one sample: ``[7]`` (or 7) in a fully connected layer, ``[channel,
        row, column]`` in maps, ``[position, unit]`` for tokens, where position 0 is [CLS].
    steps: points of the Gauss-Legendre integral of (gradient of the logit by the neuron) * (gradient of the
        neuron by the input) * (input - neutral input).
    target: explained class, ``predicted`` or ``gold``.
    baseline: neutral input; see ``integrated_gradients``.

    Sub-tokens are gathered to words, and channels are summed. The values sum to the neuron's share of the
    logit's change, which ``layer_conductance`` estimates in another way. Raises `ConfigError` for an unknown
    layer or neuron, and `SampleError` if a text is too short for the position.

    Reference: K. Dhamdhere, M. Sundararajan, Q. Yan. How Important Is a Neuron? ICLR 2019.
    """

    requires = frozenset({"classify", "gradients"})
    inputs = frozenset({"text", "pair", "image"})

    def __init__(
        self, *, layer: str, neuron: int | Sequence[int], steps: Count = 50, target: str = "predicted", baseline: Baseline = None
    ) -> None:  # fmt: skip
        places = (neuron,) if isinstance(neuron, int) else tuple(neuron)
        if steps < 1 or not places or min(places) < 0:
            raise ConfigError(f"neuron_conductance needs steps >= 1 and a neuron's place, counted from 0, not {steps} and {list(places)}")
        self.layer, self.neuron, self.steps = layer, places, steps
        self.target, self.baseline = check_target(target), check_baseline(baseline)
        self.starts_from = describe_baseline(baseline)

    def trial(self) -> NeuronConductance:
        return copy_with(self, steps=1)

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = choose_classes(engine, samples, self.target)
        found: dict[int, Values] = {}
        weights, alphas = compute_gauss_legendre(self.steps)
        with engine.differentiable() as net:
            work = GradientWork(engine, net, samples, targets, self.baseline)
            layer = Layer(work.module, self.layer, "neuron_conductance")
            for rows in work.passes(range(len(samples)), self.steps):
                difference = rows.features - rows.baseline
                at = (rows.baseline + rows.per_row(alphas[list(rows.steps)]) * difference).detach().requires_grad_()
                add_weighted(found, rows, weights, self._compute_slopes(layer, rows, at) * difference)
        return [work.attribution(i, found[i]) for i in range(len(samples))]

    def _compute_slopes(self, layer: Layer, rows: Rows, at: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the logit with respect to the input through the neuron, in the shape of ``at``.

        layer: the neuron's layer.
        rows: rows of a pass.
        at: features at which to compute the gradient, in the shape of `Rows.features`.
        Raises `ConfigError` if the layer has no such neuron or does not depend on the input.
        """
        import torch

        with layer.giving(as_it_is) as seen:
            explained_N = rows.explained(at)
        (given,) = seen
        self._check(layer, rows, given)
        to_logit_N = self._get_neuron(layer.gradients(explained_N, given, keep=True))
        (to_neuron,) = torch.autograd.grad(self._get_neuron(given).sum(), at, allow_unused=True)
        if to_neuron is None:
            raise layer.refusal("gives what does not depend on the input's features")
        return to_neuron * to_logit_N.view(-1, *(1,) * (at.ndim - 1))

    def _get_neuron(self, given: torch.Tensor) -> torch.Tensor:
        """Return the neuron's value in each row [N]."""
        for place in self.neuron:
            given = given[:, place]
        return given

    def _check(self, layer: Layer, rows: Rows, given: torch.Tensor) -> None:
        """Raise `ConfigError` for an unknown neuron and `SampleError` if a text is too short for its position."""
        shape = tuple(given.shape[1:])
        of_tokens = rows.lengths is not None and given.ndim == 3 and shape[0] == rows.features.shape[1]
        if rows.lengths is not None and of_tokens and len(self.neuron) == 2 and self.neuron[0] >= min(rows.lengths):
            raise SampleError(f"neuron_conductance: the text has {min(rows.lengths)} tokens and no position {self.neuron[0]}")
        if len(shape) != len(self.neuron) or any(place >= size for place, size in zip(self.neuron, shape, strict=True)):
            raise layer.refusal(f"gives {list(shape)} neurons for a sample, among which {list(self.neuron)} is none")
