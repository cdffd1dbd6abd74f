"""Raw attention weights: a weak baseline (Jain, Wallace 2019, Attention is not Explanation, arXiv:1902.10186)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..harness.api.errors import ConfigError
from .attending import AttentionProbe

if TYPE_CHECKING:
    import torch


class Attention(AttentionProbe):
    """Attention of the answer's position to each word or patch, averaged over the heads of a layer. A weak
    baseline.

    layer: index of the layer from 0; -1 is the last.
    target: nominally explained class, ``predicted`` or ``gold``; the values are equal for each class and
        never negative.

    The answer's position is [CLS]; for a decoder the last token; for a language model the mean over the
    positions that predict the continuation. Sub-tokens are gathered to words, and a pixel has the value of
    its patch. Attention shows where a layer looks, not how it uses the content; other weights may give the
    same answer. Gradient and perturbation methods should do better. Raises `ConfigError` for an unknown
    layer.

    on_special_tokens: share of the attention on special tokens, often the larger part.

    Reference: S. Jain, B. Wallace. Attention is not Explanation. NAACL 2019.
    """

    caution = "attention weights are a weak baseline, not an explanation: they say where a layer looks, the same for each class."

    def __init__(self, *, layer: int = -1, target: str = "predicted") -> None:
        super().__init__(target=target)
        self.layer = layer

    def trial(self) -> Attention | None:
        """Return the probe itself to check the layer's index; None for the last layer, which always exists."""
        return None if self.layer == -1 else self

    def read(self, maps_NMLL: torch.Tensor, readers_NL: torch.Tensor, /) -> torch.Tensor:
        num = maps_NMLL.shape[1]
        if not -num <= self.layer < num:
            raise ConfigError(f"attention: the model has {num} layers with attention, 0 to {num - 1}, and no layer {self.layer}")
        return (readers_NL[:, None] @ maps_NMLL[:, self.layer])[:, 0]
