"""Rotary position embeddings that change with the length of a pass: what may share a batch then, and a module that remembers no length.

``dynamic`` ones (NTK) are made anew for each length beyond the trained one, ``longrope`` has two sets, for passes up to the trained length
and for longer ones. A batch is one pass: a long text in it would change what its short neighbours are answered.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

_TYPES = ("dynamic", "longrope")


class TurningPositions:
    """``limit``: tokens of a pass up to which all positions are as they are alone; None where that is so at any length."""

    def __init__(self, module: Any) -> None:
        text = module.config.get_text_config()
        given = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
        kind = str(given.get("rope_type") or given.get("type") or "")
        self._kind = next((known for known in _TYPES if known in kind), "")
        trained = given.get("original_max_position_embeddings") or getattr(text, "original_max_position_embeddings", None)
        limit = trained if self._kind == "longrope" and trained else getattr(text, "max_position_embeddings", None)
        self.limit: int | None = limit if self._kind else None
        if self._kind == "dynamic":
            # Of a pass beyond the limit, transformers keeps the embeddings for the shorter ones that follow.
            for part in module.modules():
                if hasattr(part, "max_seq_len_cached") and hasattr(part, "original_inv_freq"):
                    part.register_forward_pre_hook(_forget)

    def alike(self, length: int, /) -> Hashable:
        """What passes of so many tokens must share to be one."""
        if self.limit is None or length <= self.limit:
            return None
        return length if self._kind == "dynamic" else self._kind


def _forget(rotary: Any, args: Any) -> None:
    rotary.max_seq_len_cached = rotary.original_max_seq_len
    rotary.register_buffer("inv_freq", rotary.original_inv_freq.to(rotary.inv_freq.device), persistent=False)
