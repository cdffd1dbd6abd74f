"""Integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365), through Captum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..harness.batching import batches
from ..harness.errors import ConfigError, SampleError
from ..harness.inputs import Image, size_of
from ..harness.plugins import Differentiable, Encoded, ModelPort
from ..harness.requests import Classify
from ..harness.samples import Attribution, Sample
from ..harness.words import gather, word_spans

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
    inputs: ClassVar[frozenset[str]] = frozenset({"text", "image"})

    def __init__(self, *, steps: int = 32, tolerance: float = 0.02, max_steps: int = 512, target: str = "predicted") -> None:
        if steps < 1 or max_steps < steps:
            raise ConfigError(f"integrated_gradients needs 1 <= steps <= max_steps, not steps {steps} and max_steps {max_steps}")
        if target not in ("predicted", "gold"):
            raise ConfigError(f"target is 'predicted' or 'gold', not {target!r}")
        self.steps, self.tolerance, self.max_steps, self.target = steps, tolerance, max_steps, target

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = self._targets(engine, samples)
        found: dict[int, Attribution] = {}
        with engine.differentiable() as net:
            for indices in batches(engine, samples):
                todo, steps = indices, self.steps
                while todo:
                    batch = self._batch(engine, net, [samples[i] for i in todo], [targets[i] for i in todo], steps)
                    found.update(zip(todo, batch, strict=True))
                    if steps >= self.max_steps:
                        break
                    todo = [i for i in todo if not found[i].metadata["converged"]]
                    steps = min(2 * steps, self.max_steps)
        return [found[i] for i in range(len(samples))]

    def _targets(self, engine: ModelPort, samples: Sequence[Sample]) -> list[int]:
        if self.target == "predicted":
            return [int(np.argmax(logits.values)) for logits in engine.run([Classify(s.input, s.labels) for s in samples])]
        without = next((s for s in samples if not isinstance(s.target, int | np.integer)), None)
        if without is not None:
            raise SampleError(f"target: gold needs the index of the sample's class, not {without.target!r}")
        return [int(s.target) for s in samples]

    def _batch(
        self, engine: ModelPort, net: Differentiable, samples: Sequence[Sample], targets: Sequence[int], steps: int
    ) -> list[Attribution]:
        import torch
        from captum.attr import IntegratedGradients as Captum

        encoded = net.encode([Classify(s.input, s.labels) for s in samples])
        target_B = torch.tensor(targets, device=encoded.features.device)
        rows_B = torch.arange(len(samples), device=encoded.features.device)
        method = Captum(lambda features, rows: net.logits(features, encoded, rows))
        # Samples and steps share passes: as many rows at once as the engine gives a batch of inputs of this size.
        positions = encoded.features.shape[1] if encoded.mask_BL is not None else max(size_of(s.input) for s in samples)
        rows_at_once = max(len(engine.groups([positions] * len(samples) * steps)[0]), len(samples))
        values = method.attribute(
            encoded.features, baselines=encoded.baseline, target=target_B, additional_forward_args=(rows_B,), n_steps=steps,
            method="gausslegendre", internal_batch_size=rows_at_once,
        )  # fmt: skip
        # The sum in float64: of a thousand pixels in float32 it would miss by more than the integral does.
        parts = (values.double().sum(-1) if encoded.mask_BL is not None else values.double().sum(1)).cpu().numpy()
        changes = _change(net, encoded, target_B).double().cpu().tolist()
        errors = [abs(float(part.sum()) - change) for part, change in zip(parts, changes, strict=True)]
        return [
            _attribution(sample, target, parts[i].astype(np.float32), encoded, i, errors[i], self._allows(errors[i], changes[i]), steps)
            for i, (sample, target) in enumerate(zip(samples, targets, strict=True))
        ]

    def _allows(self, error: float, change: float) -> bool:
        return error <= max(0.01, self.tolerance * abs(change))


def _attribution(
    sample: Sample, target: int, values: np.ndarray[Any, Any], encoded: Encoded, index: int, error: float, converged: bool, steps: int
) -> Attribution:
    facts = {"converged": converged, "num_steps": steps}
    if isinstance(sample.input, Image):
        return Attribution(sample.id, target, values, completeness_error=error, metadata=facts)
    words = word_spans(str(sample.input))
    return Attribution(sample.id, target, gather(values, encoded.spans[index], words), words, error, facts)


def _change(net: Differentiable, encoded: Encoded, target_B: torch.Tensor) -> torch.Tensor:
    """How far the explained logit moves from the neutral input to the sample: what the attributions must sum to."""
    import torch

    with torch.no_grad():
        moved_BC = net.logits(encoded.features, encoded) - net.logits(encoded.baseline, encoded)
    return moved_BC.gather(1, target_B[:, None])[:, 0]
