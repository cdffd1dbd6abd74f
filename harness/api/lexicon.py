"""The tokens of a differentiable text model, for attacks and probes that put tokens into a text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..modalities.words import Spans

if TYPE_CHECKING:
    import torch


class Lexicon:
    """Base class of lexicons. A subclass defines all methods. Special tokens are no part of it."""

    @abstractmethod
    def list_tokens(self) -> Sequence[tuple[int, str]]:
        """Return the tokens that a text may contain, each as (id, text)."""
        raise NotImplementedError

    @abstractmethod
    def tokenize(self, texts: Sequence[str], /) -> list[tuple[list[int], Spans]]:
        """Return the ids of each text's tokens, and the (start, end) of each token in the text."""
        raise NotImplementedError

    @abstractmethod
    def embed(self, ids_N: Sequence[int], /) -> torch.Tensor:
        """Return the output [N, D] of the layer that embeds tokens."""
        raise NotImplementedError
