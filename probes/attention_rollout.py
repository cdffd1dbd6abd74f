"""Attention rollout (Abnar, Zuidema 2020, arXiv:2005.00928)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..harness.api.errors import ConfigError
from .attending import AttentionProbe

if TYPE_CHECKING:
    import torch


class AttentionRollout(AttentionProbe):
    """Combine the attention of all layers into the weight of each word or patch for the answer's position.

    residual: weight of the residual connection; the layer's attention, averaged over heads, has the rest. 0.5
        in the paper.
    target: nominally explained class, ``predicted`` or ``gold``; the values are equal for each class and
        never negative.

    The layers' maps are multiplied. The row of [CLS] is used; for a decoder the row of the last token; for a
    language model the mean over the positions that predict the continuation. Sub-tokens are gathered to
    words, and a pixel has the value of its patch. Everything in a layer besides attention is ignored, so it
    is a baseline rather than an explanation.

    on_special_tokens: share that stays at special tokens; words and patches have the rest of 1.

    Reference: S. Abnar, W. Zuidema. Quantifying Attention Flow in Transformers. ACL 2020, section 3.
    """

    caution = "attention rollout is the same for each class: it says how positions mix, not what speaks for an answer."

    def __init__(self, *, residual: float = 0.5, target: str = "predicted") -> None:
        super().__init__(target=target)
        if not 0 <= residual < 1:
            raise ConfigError(f"residual is a share from 0 to below 1, not {residual}")
        self.residual = residual

    def read(self, maps_NMLL: torch.Tensor, readers_NL: torch.Tensor, /) -> torch.Tensor:
        # Only one row of the product of all maps is needed, so multiply a vector through the layers, last layer first.
        flow_NL = readers_NL
        for layer in reversed(range(maps_NMLL.shape[1])):
            attended_NL = (flow_NL[:, None] @ maps_NMLL[:, layer])[:, 0]
            flow_NL = self.residual * flow_NL + (1 - self.residual) * attended_NL
        return flow_NL
