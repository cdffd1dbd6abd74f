"""Vectors of texts, as sentence-transformers computes them from the hidden states of a text encoder.

Shape legend: B batch, L tokens, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import linear, normalize

from ...api.errors import SampleError
from ...api.model import Model
from ...api.requests import Embed, Request
from ...api.responses import Response
from ..common.text_prompts import require_text
from ..common.valid_text import refuse_lone_surrogates
from .sentences import Dense, SentenceSettings


@dataclass(frozen=True, slots=True)
class Text:
    """A tokenised text, and the layer whose embedding is requested."""

    ids: list[int]
    num_truncated: int
    layer: int


class SentenceReader(Model):
    """Base of text encoders. A subclass sets the attributes and answers `Embed` with `pool`.

    tokenizer: transformers' tokenizer.
    max_length: maximum length of a text, in tokens.
    sentences: the settings of sentence-transformers.
    """

    tokenizer: Any
    max_length: int
    sentences: SentenceSettings

    def split(self, request: Request[Response], /) -> Sequence[Text]:
        assert isinstance(request, Embed)
        value = require_text(request.input)
        text = self.sentences.prompt + value
        text = text.lower() if self.sentences.lowers else text
        with refuse_lone_surrogates(value):
            whole = self.tokenizer(text, verbose=False)["input_ids"]
        if not whole:
            raise SampleError("the text has no tokens, so there is nothing to embed")
        ids = whole
        if len(whole) > self.max_length:
            ids = self.tokenizer(text, truncation=True, max_length=self.max_length)["input_ids"]
        return (Text(ids, len(whole) - len(ids), request.layer),)

    def length(self, unit: Text, /) -> int:
        return len(unit.ids)


def build_pooling(settings: SentenceSettings, tokenizer: Any, /) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return a function from hidden states [B, L, D] and their mask [B, L], padded on the right, to vectors [B, K]."""
    skipped = _count_prompt_tokens(settings, tokenizer) if settings.leaves_prompt_out else 0
    layers = [_build_dense(layer) if layer is not None else _scale_to_one for layer in settings.layers]

    def pool(hidden_BLD: torch.Tensor, mask_BL: torch.Tensor) -> torch.Tensor:
        hidden_BLD = hidden_BLD.float()
        kept_BL1 = mask_BL.float().clone()
        kept_BL1[:, :skipped] = 0
        kept_BL1 = kept_BL1[:, :, None]
        vectors = torch.cat([_POOL[name](hidden_BLD, kept_BL1) for name in settings.poolings], 1)
        for layer in layers:
            vectors = layer(vectors)
        return vectors

    return pool


def _count_prompt_tokens(settings: SentenceSettings, tokenizer: Any) -> int:
    """Return the number of tokens of the prompt with the special ones before it."""
    ids = tokenizer(settings.prompt.lower() if settings.lowers else settings.prompt, verbose=False)["input_ids"]
    return len(ids) - (ids[-1] in tokenizer.all_special_ids)


def _scale_to_one(vectors_BK: torch.Tensor) -> torch.Tensor:
    return normalize(vectors_BK, dim=1)


def _build_dense(dense: Dense) -> Callable[[torch.Tensor], torch.Tensor]:
    from safetensors.torch import load_file

    tensors = {name: tensor.float() for name, tensor in load_file(dense.weights).items()}
    activation = getattr(torch.nn, dense.activation)()

    def apply(vectors_BK: torch.Tensor) -> torch.Tensor:
        weights = {name: tensor.to(vectors_BK.device) for name, tensor in tensors.items()}
        added = activation(linear(vectors_BK, weights["linear.weight"], weights.get("linear.bias")))
        if not dense.adds_input:
            return added
        return added + (linear(vectors_BK, weights["residual.weight"]) if "residual.weight" in weights else vectors_BK)

    return apply


def _take_first(hidden_BLD: torch.Tensor, kept_BL1: torch.Tensor) -> torch.Tensor:
    return hidden_BLD[torch.arange(len(hidden_BLD)), kept_BL1[:, :, 0].argmax(1)]


def _take_last(hidden_BLD: torch.Tensor, kept_BL1: torch.Tensor) -> torch.Tensor:
    positions_L = torch.arange(1, hidden_BLD.shape[1] + 1, device=hidden_BLD.device)
    return hidden_BLD[torch.arange(len(hidden_BLD)), (kept_BL1[:, :, 0] * positions_L).argmax(1)]


def _take_largest(hidden_BLD: torch.Tensor, kept_BL1: torch.Tensor) -> torch.Tensor:
    return hidden_BLD.masked_fill(kept_BL1 == 0, float("-inf")).amax(1)


def _average(hidden_BLD: torch.Tensor, weights_BL1: torch.Tensor) -> torch.Tensor:
    return (hidden_BLD * weights_BL1).sum(1) / weights_BL1.sum(1).clamp(min=1e-9)


def _average_by_root(hidden_BLD: torch.Tensor, kept_BL1: torch.Tensor) -> torch.Tensor:
    return (hidden_BLD * kept_BL1).sum(1) / kept_BL1.sum(1).clamp(min=1e-9).sqrt()


def _average_by_position(hidden_BLD: torch.Tensor, kept_BL1: torch.Tensor) -> torch.Tensor:
    positions_L = torch.arange(1, hidden_BLD.shape[1] + 1, device=hidden_BLD.device)
    return _average(hidden_BLD, kept_BL1 * positions_L[None, :, None])


_POOL: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "cls": _take_first,
    "max": _take_largest,
    "mean": _average,
    "mean_sqrt_len_tokens": _average_by_root,
    "weightedmean": _average_by_position,
    "lasttoken": _take_last,
}
"""Functions from hidden states [B, L, D] and the mask [B, L, 1] of the tokens to pool to vectors [B, D]."""
