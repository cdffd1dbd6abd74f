"""Saliency: the absolute gradient (Simonyan, Vedaldi, Zisserman 2013, arXiv:1312.6034)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .gradients import GradientProbe, Rows

if TYPE_CHECKING:
    import torch


class Saliency(GradientProbe):
    """Absolute gradient of the explained class's logit, summed over a token's embedding or a pixel's
    channels.

    target: explained class, ``predicted`` or ``gold``.

    Sub-tokens are gathered to words. The values show the strength of a part, not its direction. The paper
    uses the largest channel of a pixel; the sum agrees with Captum.

    Reference: K. Simonyan, A. Vedaldi, A. Zisserman. Deep Inside Convolutional Networks. ICLR 2014 workshop.
    """

    def __init__(self, *, target: str = "predicted") -> None:
        super().__init__(target=target)

    def points(self, rows: Rows, /) -> tuple[torch.Tensor, torch.Tensor | None]:
        return rows.features, None
