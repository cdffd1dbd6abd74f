"""Layer conductance (Dhamdhere, Sundararajan, Yan 2018, arXiv:1805.12233).

The sum over pieces of the path is from Shrikumar, Su, Kundaje 2018, arXiv:1807.09946.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..harness.api.settings import Count, Size
from .baselines import Baseline
from .explained import copy_with
from .gradients import GradientWork
from .integral import Integral, compute_gauss_legendre
from .layers import Layer, cut_off
from .positions import Values, sum_by_position

_ROUNDING = 1e-3
"""Allowed difference of two logits that count as equal, as a share of the logit's change."""


class LayerConductance(Integral):
    """Measure how much of the logit's change flows through each position of a layer, on the path from a
    neutral input to the sample.

    layer: name in the module, e.g. ``bert.embeddings``, ``bert.encoder.layer.2`` or ``features.7``. Its first
        output tensor is used, which must have values per token or be a map.
    steps: number of pieces of the path; on each, the change of the layer's output is weighted by the logit's
        gradient at its start, at Captum's points.
    tolerance: allowed difference between the sum of attributions and the change of the logit, as a share of
        the change (at least 0.01). Where the sum misses it, the steps are doubled.
    max_steps: maximum number of steps. The best sum is kept; a sum of pieces converges more slowly than an
        integral.
    baseline: neutral input; see ``integrated_gradients``.
    target: explained class, ``predicted`` or ``gold``.

    Values are summed over a token's hidden units and gathered to words; maps are summed over channels and
    enlarged bilinearly; the tokens of a vision transformer cover their patches. In deep layers [CLS], which
    belongs to no word, may hold nearly all of the attribution. Raises `ConfigError` if the layer does not
    exist or its output has no positions.

    completeness_error: |sum of attributions - (logit of the sample - logit of the neutral input)|, over all
        positions, if everything passes through the layer. If a residual connection bypasses it, the sum is
        unknown: the steps stay, and there is neither this nor ``converged``. num_steps: steps of the kept
        sum. on_special_tokens: sum outside words and patches.

    Reference: K. Dhamdhere, M. Sundararajan, Q. Yan. How Important Is a Neuron? ICLR 2019. The sum of pieces:
    A. Shrikumar, J. Su, A. Kundaje. Computationally Efficient Measures of Internal Neuron Importance. 2018.
    """

    inputs = frozenset({"text", "pair", "image"})

    def __init__(
        self, *, layer: str, steps: Count = 64, tolerance: Size = 0.02, max_steps: Count = 512, target: str = "predicted",
        baseline: Baseline = None,
    ) -> None:  # fmt: skip
        super().__init__(steps=steps, tolerance=tolerance, max_steps=max_steps, target=target, baseline=baseline)
        self.layer = layer

    def trial(self) -> LayerConductance:
        return copy_with(self, steps=1, max_steps=1)

    def changes(self, work: GradientWork, num: int, /) -> Sequence[float | None]:
        import torch

        layer = Layer(work.module, self.layer, "layer_conductance")
        found: list[float | None] = [None] * num
        for rows in work.passes(range(num)):
            start = layer.of(rows, rows.encoded.baseline)
            with torch.no_grad():
                whole_N, neutral_N = rows.explained(rows.features).double(), rows.explained(rows.baseline).double()
                with layer.giving(lambda _, start=start: start):  # type: ignore[misc]
                    cut_N = rows.explained(rows.features).double()
            change_N = whole_N - neutral_N
            passes_through_N = (cut_N - neutral_N).abs() <= _ROUNDING * change_N.abs().clamp(min=1)
            for index, change, all_of_it in zip(rows.indices, change_N.tolist(), passes_through_N.tolist(), strict=True):
                found[index] = change if all_of_it else None
        return found

    def sums(self, work: GradientWork, chosen: Sequence[int], steps: int, /) -> Mapping[int, Values]:
        import torch

        layer, found = Layer(work.module, self.layer, "layer_conductance"), dict[int, Values]()
        _, alphas = compute_gauss_legendre(steps + 1)
        # The last row of a pass, because the points of its sample may continue in the next pass.
        last: tuple[int, torch.Tensor, torch.Tensor] | None = None
        for rows in work.passes(chosen, steps + 1):
            at = rows.baseline + rows.per_row(alphas[list(rows.steps)]) * (rows.features - rows.baseline)
            with layer.giving(cut_off) as seen:
                explained_N = rows.explained(at)
            given, slopes = layer.placed(seen[0], rows).detach(), layer.gradients(explained_N, seen[0])
            owners, lengths = np.array(rows.indices), rows.lengths
            if last is not None and last[0] == owners[0]:
                owners = np.array([last[0], *owners])
                given, slopes = torch.cat([last[1], given]), torch.cat([last[2], slopes])
                lengths = None if lengths is None else [lengths[0], *lengths]
            pieces = sum_by_position((given[1:] - given[:-1]) * slopes[:-1], None if lengths is None else lengths[1:], rows.encoded.domain)
            for index, before, values in zip(owners[1:].tolist(), owners[:-1].tolist(), pieces, strict=True):
                if index == before:
                    found[index] = found.get(index, 0) + values
            last = int(owners[-1]), given[-1:], slopes[-1:]
        return found
