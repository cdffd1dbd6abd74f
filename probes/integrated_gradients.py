"""Integrated gradients with Captum's points and weights (Sundararajan, Taly, Yan 2017, arXiv:1703.01365)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..harness.api.settings import Count, Size
from .baselines import Baseline
from .gradients import Rows
from .halving import Halving
from .positions import Values

if TYPE_CHECKING:
    import torch


class IntegratedGradients(Halving):
    """Integrate the class logit's gradient from a neutral input to the sample, times their difference.

    steps: points of the Gauss-Legendre integral.
    tolerance: allowed difference between the sum of attributions and the change of the logit, as a share of
        the change (at least 0.01). Where the sum misses it, the path is halved, and so is each piece that
        misses its part, with 8 points per half.
    max_steps: maximum number of points in all. The best sum is kept, so more points never give a worse
        result.
    target: explained class, ``predicted`` or ``gold``.
    baseline: neutral input. Text: a token, by its name in the vocabulary or as text, or 0 for zero
        embeddings; default: padding tokens between the special tokens, for language models the word "the" in
        place of each token. Images: a grey from 0 to 1, ``mean`` for the image's mean colour, or ``blur``;
        default: black.

    Sub-tokens are gathered to words, and channels are summed. Evenly spaced points are not enough for a
    saturated classifier, whose output changes on a short piece of the path.

    completeness_error: |sum of attributions - (logit of the sample - logit of the neutral input)|
        (completeness, axiom 3 of the paper), over all tokens; special tokens and padding are equal in both
        inputs, so their attribution is 0. converged: whether the error is below the tolerance. num_steps:
        number of points in all.

    Reference: M. Sundararajan, A. Taly, Q. Yan. Axiomatic Attribution for Deep Networks. ICML 2017.
    """

    def __init__(
        self, *, steps: Count = 32, tolerance: Size = 0.02, max_steps: Count = 512, target: str = "predicted", baseline: Baseline = None
    ) -> None:  # fmt: skip
        super().__init__(steps=steps, tolerance=tolerance, max_steps=max_steps, target=target, baseline=baseline)

    def logits(self, rows: Rows, at_N: Values, /) -> torch.Tensor:
        return rows.resumed(_interpolate(rows, at_N)[0])

    def shares(self, rows: Rows, at_N: Values, /) -> torch.Tensor:
        return rows.slopes(*_interpolate(rows, at_N))


def _interpolate(rows: Rows, at_N: Values) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the interpolated input of each row, and the difference between sample and neutral input."""
    difference = rows.features - rows.baseline
    return (rows.per_row(at_N) * difference).add_(rows.baseline), difference
