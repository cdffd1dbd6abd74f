"""Integrated gradients of a hidden layer (Sundararajan, Taly, Yan 2017, arXiv:1703.01365; as in Captum)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..harness.api.settings import Count, Size
from .baselines import Baseline
from .explained import copy_with
from .gradients import GradientWork, Rows
from .halving import Halving
from .layers import Layer
from .positions import Values

if TYPE_CHECKING:
    import torch


class LayerIntegratedGradients(Halving):
    """Integrate the class logit's gradient with respect to a layer's output, from that of a neutral input,
    times the difference.

    layer: name in the module, e.g. ``bert.embeddings``, ``bert.encoder.layer.2`` or ``features.7``. Its first
        output tensor is used, which must have values per token or be a map.
    steps, tolerance, max_steps, baseline: see ``integrated_gradients``.
    target: explained class, ``predicted`` or ``gold``.

    Values are summed over a token's hidden units and gathered to words; maps are summed over channels and
    enlarged bilinearly; the tokens of a vision transformer cover their patches. In deep layers [CLS], which
    belongs to no word, may hold nearly all of the attribution. Raises `ConfigError` if the layer does not
    exist or its output has no positions.

    completeness_error: |sum of attributions - (logit of the sample - its logit with the layer's output for
        the neutral input)|, over all positions. If everything passes through the layer, the latter is the
        logit of the neutral input. converged, num_steps: see ``integrated_gradients``. on_special_tokens: sum
        outside words and patches.

    Reference: M. Sundararajan, A. Taly, Q. Yan. Axiomatic Attribution for Deep Networks. ICML 2017.
    """

    inputs = frozenset({"text", "pair", "image"})

    def __init__(
        self, *, layer: str, steps: Count = 32, tolerance: Size = 0.02, max_steps: Count = 512, target: str = "predicted",
        baseline: Baseline = None,
    ) -> None:  # fmt: skip
        super().__init__(steps=steps, tolerance=tolerance, max_steps=max_steps, target=target, baseline=baseline)
        self.layer = layer

    def trial(self) -> LayerIntegratedGradients:
        return copy_with(self, steps=1, max_steps=1)

    def changes(self, work: GradientWork, num: int, /) -> Sequence[float | None]:
        import torch

        layer, found = Layer(work.module, self.layer, "layer_integrated_gradients"), [0.0] * num
        for rows in work.passes(range(num)):
            start = layer.of(rows, rows.encoded.baseline)
            with torch.no_grad():
                whole_N = rows.explained(rows.features)
                with layer.giving(lambda _, start=start: start):  # type: ignore[misc]
                    cut_N = rows.explained(rows.features)
            for index, change in zip(rows.indices, (whole_N.double() - cut_N.double()).tolist(), strict=True):
                found[index] = change
        return found

    def logits(self, rows: Rows, at_N: Values, /) -> torch.Tensor:
        return self._evaluate(rows, at_N)[0]

    def shares(self, rows: Rows, at_N: Values, /) -> torch.Tensor:
        explained_N, at, difference, layer = self._evaluate(rows, at_N)
        return layer.gradients(explained_N, at) * difference

    def _evaluate(self, rows: Rows, at_N: Values) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Layer]:
        """Evaluate the model with the layer's output interpolated between neutral input and sample.

        rows: rows of a pass.
        at_N: point of each row in [0, 1].
        Returns the explained logits [N], the interpolated outputs [N, ...], the difference between the outputs for the
        sample and for the neutral input [N, ...], and the layer.
        """
        import torch

        layer = Layer(rows.net.module, self.layer, "layer_integrated_gradients")
        start, end = layer.of(rows, rows.encoded.baseline), layer.of(rows, rows.encoded.features)
        share = torch.as_tensor(at_N, dtype=start.dtype, device=start.device).view(-1, *(1,) * (start.ndim - 1))
        at = (start + share * (end - start)).detach().requires_grad_()
        with layer.giving(lambda _: at):
            return rows.explained(rows.features), at, end - start, layer
