"""Token classification: a tag for each word, read from its first token.

Shape legend: B batch, L tokens, C tags.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from transformers import AutoModelForTokenClassification

from ...api.errors import SampleError
from ...api.requests import Request, Tag
from ...api.responses import Response, Tags
from ..checkpoint.tokens import check_tokens
from ..common.labels import are_numbered
from ..common.valid_text import refuse_lone_surrogates
from ..torch.padding import pad_right
from ..torch.signature import accepts
from .checkpoint_model import HFTextModel
from .source import HuggingFace


@dataclass(frozen=True, slots=True)
class Words:
    """The tokens of a text. places: index of the first token of each word. types: token types; None if the model has none."""

    ids: list[int]
    types: list[int] | None
    places: list[int]


class HFTagger(HFTextModel):
    """Answers `Tag`. The first token of a word decides, as in the training of such models."""

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        super().__init__(source, device, dtype, AutoModelForTokenClassification)
        names = self.config.id2label
        self.tags = tuple(source.labels or (str(names[place]) for place in range(len(names))))
        if are_numbered(self.tags):
            self.notes += ("its tags have only default names (LABEL_0, ...); name them with the model setting labels",)
        self.notes += check_tokens(self.tokenizer, self.module, self.name)
        self._takes_types = accepts(self.module, "token_type_ids")
        self.fingerprint = source.fingerprint(self.module, self.dtype)

    def split(self, request: Request[Response], /) -> Sequence[Words]:
        """Tokenise a text. Raises `SampleError` if it has no words, or is longer than the model reads: its last words had no tag."""
        assert isinstance(request, Tag)
        with refuse_lone_surrogates(request.input):
            encoded = self.tokenizer([request.input], verbose=False)
        (one,) = encoded.encodings
        if len(one.ids) > self.max_length:
            raise SampleError(f"the text has {len(one.ids):,} tokens, but the model reads only {self.max_length:,}, so words had no tag")
        words = [match.span() for match in re.finditer(r"\S+", request.input)]
        places = [self._find_first(one, *word) for word in words]
        missing = [request.input[slice(*word)] for word, place in zip(words, places, strict=True) if place is None]
        if not words or missing:
            raise SampleError(f"the tokenizer has no token for the word {missing[0]!r}" if missing else "the text has no words")
        types = one.type_ids if self._takes_types and "token_type_ids" in encoded else None
        return (Words(one.ids, types, [place for place in places if place is not None]),)

    def batch_key(self, unit: Words, /) -> Hashable:
        return super().batch_key(unit), unit.types is None

    def tag(self, batch: Sequence[Words]) -> list[Tags]:
        arguments = self.arguments([unit.ids for unit in batch])
        types = [unit.types for unit in batch if unit.types is not None]
        if types:
            arguments["token_type_ids"] = pad_right(types, 0, self.device)
        with torch.inference_mode():
            logs_BLC = self.module(**arguments).logits.double().log_softmax(-1)
        answers = []
        for unit, logs_LC in zip(batch, logs_BLC, strict=True):
            best = logs_LC[unit.places].max(-1)
            answers.append(Tags(tuple(self.tags[place] for place in best.indices.tolist()), tuple(best.values.tolist())))
        return answers

    @staticmethod
    def _find_first(one: object, start: int, end: int) -> int | None:
        """Return the index of the first token that lies in the word; tokenizers may count the space before a word as its own."""
        offsets, special = one.offsets, one.special_tokens_mask  # type: ignore[attr-defined]
        return next((i for i, (a, b) in enumerate(offsets) if not special[i] and a < end and b > start), None)
