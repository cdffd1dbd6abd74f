"""Texts, pairs and sounds through a torch module and the user's function that encodes them.

Each input is encoded alone, and inputs whose tensors have the same shapes share a pass, so that nothing is padded unless the
function pads by itself.

Shape legend: B batch, L tokens, D embedding, K scores, N rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ...api.errors import CapabilityError, SampleError
from ...api.model import Differentiable, Encoded
from ...api.requests import Classify, Request
from ...api.responses import Logits, Response
from ...modalities.base import require_modality
from ...modalities.inputs import measure_size
from ...modalities.words import Spans
from ..common.encoding import OFFSETS, call_encode, read_spans, split_arguments
from .devices import to_device
from .encoded_lexicon import EncodedLexicon
from .randomised import randomise
from .token_ids import find_token_ids
from .user_module import UserModule

if TYPE_CHECKING:
    from .module_source import ModuleSource

_MASK, _COLUMNS, _ARGUMENT = "attention_mask", "columns", "argument "


@dataclass(frozen=True, slots=True)
class Inputs:
    """The arguments of the module for one input.

    named: [1, ...] by name, or by position, "0", "1". spans: of each token in the text, (0, 0) for special tokens; empty if not
    known. size: number of positions.
    """

    named: Mapping[str, torch.Tensor]
    spans: tuple[tuple[int, int], ...]
    size: int
    labels: tuple[str, ...]


class EncodedClassifier(UserModule, Differentiable):
    """Answers `Classify` for texts, pairs or sounds; differentiable by the token embeddings of a text."""

    def __init__(self, source: ModuleSource, device: str, dtype: str) -> None:
        self.load_module(source, device, dtype)
        self._source = source
        self._embedding: torch.nn.Embedding | None = None

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def split(self, request: Request[Response], /) -> Sequence[Inputs]:
        assert isinstance(request, Classify)
        modality = require_modality(request.input)
        if modality.name != self._source.input:
            raise SampleError(f"{self.name} takes input: {self._source.input}, not {modality.name}")
        assert self._source.encode is not None
        named = call_encode(self._source.encode, modality.bare(request.input), self.name)
        offsets = named.pop(OFFSETS, None)
        tensors = {name: _to_tensor(value, self.dtype) for name, value in named.items()}
        ids = find_token_ids(tensors) if offsets is not None else None
        spans = read_spans(offsets, tensors[ids].shape[1], self.name) if ids is not None else ()
        return (Inputs(tensors, spans, measure_size(request.input), request.labels),)

    def length(self, unit: Inputs, /) -> int:
        return unit.size

    def batch_key(self, unit: Inputs, /) -> Hashable:
        return tuple((name, tuple(tensor.shape)) for name, tensor in unit.named.items())

    def classify(self, batch: Sequence[Inputs]) -> list[Logits]:
        # Not inference_mode, whose tensors could not be differentiated later if a module keeps them.
        with torch.no_grad():
            return self.answer(self.to_logits(self._run(self._stack(batch))), batch[0].labels)

    def randomised(self, seed: int, share: float = 1.0, /) -> EncodedClassifier:
        """Return the model with random weights in a share of its layers, from the last."""
        twin = randomise(self, seed, share)
        twin._embedding = None
        return twin

    def _stack(self, batch: Sequence[Inputs]) -> dict[str, torch.Tensor]:
        return {name: to_device(torch.cat([unit.named[name] for unit in batch]), self.device) for name in batch[0].named}

    def _run(self, named: Mapping[str, torch.Tensor]) -> torch.Tensor:
        places, options = split_arguments(named)
        output: torch.Tensor = self.module(*places, **options)
        return output

    # ── gradients ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def differentiable(self) -> EncodedClassifier:
        if not self._source.has_gradients:
            raise CapabilityError(f"model {self.name!r} gives no gradients: {self._source.instead}")
        return self

    def lexicon(self) -> EncodedLexicon:
        if not self._source.vocabulary:
            raise CapabilityError(f"model {self.name!r} does not tell its words: {self._source.unnamed_words}")
        (unit,) = self.split(Classify("a"))
        embedding, _ = self._find_embedding(self._stack([unit]))
        return EncodedLexicon(self._source.vocabulary, self._tokenize, embedding)

    def _tokenize(self, text: str) -> tuple[list[int], Spans]:
        (unit,) = self.split(Classify(text))
        name = find_token_ids(unit.named)
        assert name is not None
        read = zip(unit.named[name][0].tolist(), unit.spans, strict=True)
        kept = [(token, span) for token, span in read if span != (0, 0)]
        return [token for token, _ in kept], tuple(span for _, span in kept)

    def encode(self, requests: Sequence[Classify], /) -> Encoded:
        batch = [self.split(request)[0] for request in requests]
        named = self._stack(batch)
        embedding, ids_BL = self._find_embedding(named)
        neutral = embedding.padding_idx
        with torch.no_grad():
            features = embedding(ids_BL)
            empty = embedding(torch.full_like(ids_BL, neutral)) if neutral is not None else torch.zeros_like(features)
        is_text_BL = torch.tensor([[span != (0, 0) for span in unit.spans] for unit in batch], device=self.device)
        baseline = torch.where(is_text_BL[:, :, None], empty, features)
        columns = torch.tensor([self.find_columns(len(unit.labels), unit.labels) for unit in batch], device=self.device)
        extra = {_ARGUMENT + name: tensor for name, tensor in named.items()} | {_COLUMNS: columns, "input_ids": ids_BL}
        return Encoded(features, baseline, named.get(_MASK, torch.ones_like(ids_BL)), [unit.spans for unit in batch], extra)

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        rows = torch.arange(len(features), device=self.device) if rows is None else rows
        named = {name.removeprefix(_ARGUMENT): tensor[rows] for name, tensor in encoded.extra.items() if name.startswith(_ARGUMENT)}
        embedding, _ = self._find_embedding(named)
        handle = embedding.register_forward_hook(lambda module, arguments, output: features)
        try:
            scores = self._run(named)
        finally:
            handle.remove()
        columns = encoded.extra[_COLUMNS][rows]
        return self.check(self.to_logits(scores), columns.shape[1]).gather(1, columns)

    def _find_embedding(self, named: Mapping[str, torch.Tensor]) -> tuple[torch.nn.Embedding, torch.Tensor]:
        """Return the layer that embeds the tokens, and the tokens [B, L]. Raises `CapabilityError` unless it runs once per pass."""
        name = find_token_ids(named)
        if name is None:
            raise CapabilityError(f"model {self.name!r} gives no gradients: its encode function returns no token ids")
        ids_BL = named[name]
        if self._embedding is None:
            found: list[torch.nn.Embedding] = []

            def note(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
                if isinstance(module, torch.nn.Embedding) and arguments[0].shape == ids_BL.shape and torch.equal(arguments[0], ids_BL):
                    found.append(module)

            handles = [part.register_forward_hook(note) for part in self.module.modules() if isinstance(part, torch.nn.Embedding)]
            try:
                with torch.no_grad():
                    self._run(named)
            finally:
                for handle in handles:
                    handle.remove()
            if len(found) != 1:
                raise CapabilityError(
                    f"model {self.name!r} gives no gradients: it looks its tokens up {len(found)} times per pass in layers nn.Embedding, "
                    "not once"
                )
            self._embedding = found[0]
        return self._embedding, ids_BL


def _to_tensor(value: Any, dtype: torch.dtype) -> torch.Tensor:
    tensor = torch.as_tensor(value)
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
