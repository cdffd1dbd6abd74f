"""Input times gradient (Shrikumar, Greenside, Shcherbina, Kundaje 2016, arXiv:1605.01713)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .gradients import GradientProbe, Rows

if TYPE_CHECKING:
    import torch


class InputXGradient(GradientProbe):
    """Gradient of the explained class's logit times the input, summed over a token's embedding or a pixel's
    channels.

    target: explained class, ``predicted`` or ``gold``.

    Sub-tokens are gathered to words. The input is the token's embedding, or the pixel in [0, 1] before the
    model's own normalisation.

    Weak for encoders that normalise the sum of token and position embeddings (BERT and most others): layer
    normalisation ignores the scale of its input, so the gradient times the whole sum is 0, and the token's
    part equals minus the position's (for DeBERTa, which adds no position there, rounding errors remain).
    `integrated_gradients` does not have this problem.

    Reference: A. Shrikumar, P. Greenside, A. Shcherbina, A. Kundaje. Not Just a Black Box: Learning Important
    Features Through Propagating Activation Differences. 2016.
    """

    def __init__(self, *, target: str = "predicted") -> None:
        super().__init__(target=target)

    def points(self, rows: Rows, /) -> tuple[torch.Tensor, torch.Tensor | None]:
        return rows.features, rows.features
