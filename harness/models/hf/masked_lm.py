"""Masked language models: pseudo-log-likelihoods and mask filling.

Shape legend: B batch, L tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import torch
from transformers import AutoModelForMaskedLM

from ...api.errors import ModelError, SampleError
from ...api.requests import MASK, FillMask, PseudoLogLikelihood, Request
from ...api.responses import Fillings, LogProb, Response
from ..checkpoint.tokens import check_tokens
from ..common.valid_text import refuse_lone_surrogates
from ..torch.logits import add_up, log_probs
from .checkpoint_model import HFTextModel
from .source import HuggingFace


@dataclass(frozen=True, slots=True)
class Masked:
    """A text with one masked token. ``ids`` have the mask at index ``place``, instead of ``token``."""

    ids: list[int]
    place: int
    token: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A text whose tokens at ``places`` are predicted, ``top_k`` for each; no places if they were truncated."""

    ids: list[int]
    places: range
    top_k: int


class HFMaskedLM(HFTextModel):
    """Answers `PseudoLogLikelihood`, with one row per scored token, and `FillMask`, with one row."""

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        super().__init__(source, device, dtype, AutoModelForMaskedLM)
        if self.tokenizer.mask_token_id is None:
            raise ModelError(f"the tokenizer of {self.name!r} has no mask token, so nothing can be masked")
        self.notes += check_tokens(self.tokenizer, self.module, self.name, self.tokenizer.mask_token_id)
        self._rounded = source.rounded
        self.fingerprint = source.fingerprint(self.module, self.dtype)

    def split(self, request: Request[Response], /) -> Sequence[Masked | Gap]:
        if isinstance(request, FillMask):
            return (self._find_gap(request),)
        assert isinstance(request, PseudoLogLikelihood)
        ids, special = self._tokenise(request.text)
        if len(ids) > self.max_length:
            raise SampleError(
                f"the text has {len(ids):,} tokens, but the model takes only {self.max_length:,}, so some would not be scored"
            )
        places = list(range(len(ids)))
        if request.other:
            # Without autojunk, which would ignore frequent tokens of texts from 200 tokens on.
            matcher = SequenceMatcher(None, ids, self._tokenise(request.other)[0], autojunk=False)
            places = [i for block in matcher.get_matching_blocks() for i in range(block.a, block.a + block.size)]
        scored = [place for place in places if not special[place]]
        if not scored:
            raise SampleError("the texts have no token in common" if request.other else "the text has no tokens to score")
        mask = self.tokenizer.mask_token_id
        return tuple(Masked([*ids[:place], mask, *ids[place + 1 :]], place, ids[place]) for place in scored)

    def pseudo_loglikelihood(self, batch: Sequence[Masked]) -> list[LogProb]:
        rows_B = torch.arange(len(batch), device=self.device)
        places_B = torch.tensor([unit.place for unit in batch], device=self.device)
        tokens_B = torch.tensor([unit.token for unit in batch], device=self.device)
        with torch.inference_mode():
            logits_BV = self._compute_logits(batch)[rows_B, places_B].float()
            values_B, greedy_B = log_probs(logits_BV, rows_B, tokens_B, rounded=self._rounded)
        return [LogProb(value, 1, greedy) for value, greedy in zip(values_B.tolist(), greedy_B.tolist(), strict=True)]

    def fill_mask(self, batch: Sequence[Gap]) -> list[Fillings]:
        fillings = []
        with torch.inference_mode():
            for logits_LV, unit in zip(self._compute_logits(batch), batch, strict=True):
                # In float64, to rank tokens with nearly equal probabilities.
                top = logits_LV[unit.places.start : unit.places.stop].double().log_softmax(-1).topk(min(unit.top_k, logits_LV.shape[-1]))
                tokens = tuple(tuple(self.tokenizer.convert_ids_to_tokens(ids)) for ids in top.indices.tolist())
                fillings.append(Fillings(tokens, tuple(map(tuple, top.values.tolist()))))
        return fillings

    def join(self, request: Request[Response], answers: Sequence[Any], /) -> LogProb | Fillings:
        if isinstance(request, FillMask):
            (filled,) = answers
            return filled
        return add_up(answers)

    def _find_gap(self, request: FillMask) -> Gap:
        """Find the tokens of the gap by characters, because a byte-level tokenizer joins a word with the space before it.

        text   the [MASK] sat      shown "good"      seen "the good sat"      tokens "the" " good" " sat"      place 1
        """
        start = request.text.find(MASK)
        if start < 0:
            raise SampleError(f"the text has no {MASK} to fill")
        before, after = request.text[:start], request.text[start + len(MASK) :].replace(MASK, self.tokenizer.mask_token)
        seen = f"{before}{request.shown or self.tokenizer.mask_token}{after}"
        ids, _ = self._tokenise(seen)
        # Truncated by the tokenizer, which keeps its last special token.
        cut: dict[str, Any] = {"truncation": True, "max_length": self.max_length} if len(ids) > self.max_length else {}
        (one,) = self.tokenizer([seen], verbose=False, **cut).encodings
        end = start + len(seen) - len(before) - len(after)
        places = [i for i, (a, b) in enumerate(one.offsets) if a < end and b > start and not one.special_tokens_mask[i]]
        if not request.shown:
            places = [i for i, token in enumerate(one.ids) if token == self.tokenizer.mask_token_id][:1]
        return Gap(one.ids, range(places[0], places[-1] + 1) if places else range(0), request.top_k)

    def _compute_logits(self, batch: Sequence[Masked] | Sequence[Gap]) -> torch.Tensor:
        """[B, L, V]."""
        logits_BLV: torch.Tensor = self.module(**self.arguments([unit.ids for unit in batch])).logits
        return logits_BLV

    def _tokenise(self, text: str) -> tuple[list[int], list[int]]:
        """Return the ids including special tokens, and a mask of the special ones."""
        with refuse_lone_surrogates(text):
            encoded = self.tokenizer(text, return_special_tokens_mask=True, verbose=False)
        return encoded["input_ids"], encoded["special_tokens_mask"]
