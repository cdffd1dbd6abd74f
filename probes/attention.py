"""Raw attention weights: a weak baseline (Jain, Wallace 2019, Attention is not Explanation, arXiv:1902.10186)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..harness.api.errors import ConfigError
from .attending import AttentionProbe

if TYPE_CHECKING:
    import torch


class Attention(AttentionProbe):
    """A weak baseline: how the position that the model answers from attends to each word or patch, averaged over the heads of a layer.

    layer: which one, counted from 0, or from the end with -1, the last. target: the class that is said to be explained, ``predicted`` or
    ``gold``; the values are the same for each, and never negative. Sub-tokens are gathered to words, a pixel has the value of its patch.
    The position is [CLS], of a decoder its last token; of a language model the mean over the positions that the continuation's tokens are
    said from. A value says where a layer looks, not what it does with what it sees there; other weights may give the same answer (Jain,
    Wallace 2019). Beside it, methods that follow gradients or remove parts should do better.
    Raises `ConfigError` where the model has no such layer.

    on_special_tokens: the share that goes to special tokens, often the larger one; words and patches have the rest.
    Reference: S. Jain, B. Wallace. Attention is not Explanation. NAACL 2019.
    """

    caution = "attention weights are a weak baseline, not an explanation: they say where a layer looks, the same for each class."

    def __init__(self, *, layer: int = -1, target: str = "predicted") -> None:
        super().__init__(target=target)
        self.layer = layer

    def trial(self) -> Attention | None:
        """Each model that has attention has a last layer."""
        return None if self.layer == -1 else self

    def read(self, maps_NMLL: torch.Tensor, readers_NL: torch.Tensor, /) -> torch.Tensor:
        num = maps_NMLL.shape[1]
        if not -num <= self.layer < num:
            raise ConfigError(f"attention: the model has {num} layers with attention, 0 to {num - 1}, and no layer {self.layer}")
        return (readers_NL[:, None] @ maps_NMLL[:, self.layer])[:, 0]
