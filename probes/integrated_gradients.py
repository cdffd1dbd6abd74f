"""Integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365), at Captum's points and with its weights."""

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
    """The class logit's gradient, integrated from a neutral input to the sample, times their difference.

    steps: points of the Gauss-Legendre integral. tolerance: where the attributions miss the change of the logit by more than this share of
    it (and more than 0.01), the way is halved, and so is each piece that misses its part, with 8 points a half, up to max_steps points in
    all: evenly spread points are not enough on a saturated classifier, which changes on a small piece of the way. The best sum is kept, so
    that a larger max_steps never ends worse than a smaller one. target: the explained class, ``predicted`` or ``gold``. Text: the neutral
    input is padding tokens between the special tokens, of a language model the word "the" for each token, and sub-tokens are gathered to
    words. Images: it is black, and channels are summed. baseline: another neutral input; of text a token, by its name in the vocabulary or
    as text, or 0 for embeddings of zeros; of images a grey from 0 to 1, ``mean`` for the image's own mean colour, or ``blur``.

    completeness_error is |sum of attributions - (logit of the sample - logit of the neutral input)| (completeness, axiom 3 of the paper),
    summed over all tokens before they are gathered: special tokens and padding stand in both inputs and are attributed exactly 0.
    converged: whether the error came below the tolerance. num_steps: how many points that took, all together.
    Reference: M. Sundararajan, A. Taly, Q. Yan. Axiomatic Attribution for Deep Networks. ICML 2017.
    """

    def __init__(
        self, *, steps: Count = 32, tolerance: Size = 0.02, max_steps: Count = 512, target: str = "predicted", baseline: Baseline = None
    ) -> None:  # fmt: skip
        super().__init__(steps=steps, tolerance=tolerance, max_steps=max_steps, target=target, baseline=baseline)

    def logits(self, rows: Rows, at_N: Values, /) -> torch.Tensor:
        return rows.resumed(_between(rows, at_N)[0])

    def shares(self, rows: Rows, at_N: Values, /) -> torch.Tensor:
        return rows.slopes(*_between(rows, at_N))


def _between(rows: Rows, at_N: Values) -> tuple[torch.Tensor, torch.Tensor]:
    """The input at each row's point of the way, and the whole way."""
    difference = rows.features - rows.baseline
    return (rows.per_row(at_N) * difference).add_(rows.baseline), difference
