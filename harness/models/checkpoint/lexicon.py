"""The tokens of a checkpoint with a tokenizer of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...api.lexicon import Lexicon
from ...modalities.words import Spans


class TokenizerLexicon(Lexicon):
    """tokenizer: of transformers. embedding: the layer that embeds its tokens, with a ``weight`` [V, D]."""

    def __init__(self, tokenizer: Any, embedding: Any) -> None:
        self._tokenizer, self._embedding = tokenizer, embedding

    def list_tokens(self) -> list[tuple[int, str]]:
        special, rows = set(self._tokenizer.all_special_ids), self._embedding.weight.shape[0]
        ids = [i for i in sorted(self._tokenizer.get_vocab().values()) if i < rows and i not in special]
        return list(zip(ids, self._tokenizer.batch_decode([[i] for i in ids], clean_up_tokenization_spaces=False), strict=True))

    def tokenize(self, texts: Sequence[str], /) -> list[tuple[list[int], Spans]]:
        if not texts:
            return []
        encoded = self._tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return list(zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))

    def embed(self, ids_N: Sequence[int], /) -> torch.Tensor:
        # The output of the layer, not its weights: some layers scale them.
        with torch.no_grad():
            embedded: torch.Tensor = self._embedding(torch.tensor(ids_N, device=self._embedding.weight.device))
        return embedded
