"""How an attention layer weighs the keys that a token may see."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..torch.attention_window import UNLIMITED


@dataclass(frozen=True, eq=False, slots=True)
class LayerRule:
    """The rule of a layer.

    scale: multiplies the scores.
    window: number of tokens, the last of which is the token itself, that a token sees.
    cap: scores are ``cap * tanh(score / cap)`` (Gemma 2, arXiv:2408.00118); None: as they are.
    sinks: [H], per head the score of one more key without a value (gpt-oss, arXiv:2309.17453); None: there is no such key.
    """

    scale: float
    window: int = UNLIMITED
    cap: float | None = None
    sinks: torch.Tensor | None = None

    def cap_scores(self, scores: torch.Tensor, /) -> torch.Tensor:
        """Return the scores, capped."""
        return scores if self.cap is None else self.cap * torch.tanh(scores / self.cap)

    def add_sinks(self, out: torch.Tensor, lse: torch.Tensor, /) -> torch.Tensor:
        """Return the output [B, H, T, D] as if the sinks had been among the keys. lse: [B, H, T], of the scores of all keys."""
        if self.sinks is None:
            return out
        # exp(lse) / (exp(lse) + exp(sink)), without overflow.
        return out * torch.sigmoid(lse - self.sinks[None, :, None].float())[..., None].to(out.dtype)
