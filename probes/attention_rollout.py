"""Attention rollout (Abnar, Zuidema 2020, arXiv:2005.00928)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..harness.api.errors import ConfigError
from .attending import AttentionProbe

if TYPE_CHECKING:
    import torch


class AttentionRollout(AttentionProbe):
    """How much of each word or patch reaches the position that the model answers from, were layers nothing but their mean attention.

    residual: the share of each position that passes a layer by its side; the layer's map, averaged over heads, has the rest (the paper's
    0.5). The layers' maps are multiplied, and the row of [CLS] is read, of a decoder that of its last token, of a language model the mean
    over the positions that the continuation's tokens are said from. target: the class that is said to be explained, ``predicted`` or
    ``gold``; the values are the same for each, and never negative. Sub-tokens are gathered to words, a pixel has the value of its patch.
    What layers compute beside attention is left out, so it is a baseline rather than an explanation.

    on_special_tokens: the share that stays at special tokens; words and patches have the rest of 1.
    Reference: S. Abnar, W. Zuidema. Quantifying Attention Flow in Transformers. ACL 2020, section 3.
    """

    caution = "attention rollout is the same for each class: it says how positions mix, not what speaks for an answer."

    def __init__(self, *, residual: float = 0.5, target: str = "predicted") -> None:
        super().__init__(target=target)
        if not 0 <= residual < 1:
            raise ConfigError(f"residual is a share from 0 to below 1, not {residual}")
        self.residual = residual

    def read(self, maps_NMLL: torch.Tensor, readers_NL: torch.Tensor, /) -> torch.Tensor:
        # Of the product of all maps one row is wanted: the last layer's row goes down through the others.
        flow_NL = readers_NL
        for layer in reversed(range(maps_NMLL.shape[1])):
            attended_NL = (flow_NL[:, None] @ maps_NMLL[:, layer])[:, 0]
            flow_NL = self.residual * flow_NL + (1 - self.residual) * attended_NL
        return flow_NL
