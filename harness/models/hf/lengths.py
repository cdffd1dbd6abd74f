"""The maximum number of tokens that a model reads."""

from __future__ import annotations

from typing import Any

from ...api.errors import ModelError

_DEFAULT = 2048
"""Tokens, if nothing limits them."""


def choose_max_length(setting: int | None, module: Any, config: Any, target: str, limit: int | None = None, /) -> int:
    """Return the maximum number of tokens: the setting, else the smallest limit of tokenizer, config and positions.

    setting: the model's setting ``max_length``. limit: the tokenizer's.
    Raises `ModelError` for a setting beyond the position table.
    """
    table = _count_positions(module)
    if setting is not None:
        if setting < 1 or (table is not None and setting > table):
            raise ModelError(f"max_length {setting} is not possible: {target!r} has positions for {table} tokens")
        return setting
    # MPT limits its attention bias by `max_seq_len`.
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None) or 0
    # Tokenizers without a limit have 10^30, relative positions have -1.
    limits = (table, limit if limit and limit < 10**9 else None, positions if positions > 0 else None)
    return min((known for known in limits if known is not None), default=_DEFAULT)


def _count_positions(module: Any) -> int | None:
    """Return the number of usable rows of a learned position table: RoBERTa's starts after the padding index, OPT's
    after an offset."""
    sizes = [
        part.num_embeddings - (part.padding_idx + 1 if part.padding_idx is not None else int(getattr(part, "offset", 0)))
        for name, part in module.named_modules()
        if name.rpartition(".")[2] in ("position_embeddings", "wpe", "embed_positions") and hasattr(part, "num_embeddings")
    ]
    return min(sizes, default=None)
