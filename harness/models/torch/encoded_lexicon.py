"""The tokens of a model whose texts a user's function encodes: words that the user names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch

from ...api.lexicon import Lexicon
from ...modalities.words import Spans

Tokenize = Callable[[str], tuple[list[int], Spans]]
"""Returns the ids of a text's tokens without special ones, and the (start, end) of each."""


class EncodedLexicon(Lexicon):
    """words: that a text may contain. tokenize: reads a text. embedding: the layer that embeds tokens."""

    def __init__(self, words: Sequence[str], tokenize: Tokenize, embedding: torch.nn.Embedding) -> None:
        self._words, self._embedding = words, embedding
        # Each word is read several times while the vocabulary is built.
        self._tokenize = lru_cache(maxsize=3 * len(words))(tokenize)

    def list_tokens(self) -> list[tuple[int, str]]:
        (start, _) = self._tokenize("a")
        found: dict[tuple[int, str], None] = {}
        for word in self._words:
            first, later = self._tokenize(word)[0], self._tokenize(f"a {word}")[0][len(start) :]
            found.update({(ids[0], word): None for ids in (first, later) if len(ids) == 1})
        return list(found)

    def tokenize(self, texts: Sequence[str], /) -> list[tuple[list[int], Spans]]:
        return [self._tokenize(text) for text in texts]

    def embed(self, ids_N: Sequence[int], /) -> torch.Tensor:
        with torch.no_grad():
            embedded: torch.Tensor = self._embedding(torch.tensor(ids_N, device=self._embedding.weight.device))
        return embedded
