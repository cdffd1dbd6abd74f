"""Inspect the arguments of a module's ``forward``, and choose tokens to measure it with."""

from __future__ import annotations

import inspect
from typing import Any


def accepts(module: Any, name: str, /) -> bool:
    """Whether a module's ``forward`` takes an argument of this name."""
    return name in inspect.signature(module.forward).parameters


def choose_ordinary_ids(module: Any, tokenizer: Any, num: int, /) -> list[int]:
    """Return ``num`` ordinary tokens spread over the vocabulary, whose ends are often bytes or untrained words."""
    rows, special = module.get_input_embeddings().num_embeddings, set(tokenizer.all_special_ids)
    ids = sorted(i for i in tokenizer.get_vocab().values() if i < rows and i not in special) or [0]
    return [ids[len(ids) * k // (num + 1)] for k in range(1, num + 1)]
