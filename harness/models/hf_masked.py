"""Masked language models: pseudo-log-likelihoods.

Shape legend: B batch, L tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import torch
from transformers import AutoModelForMaskedLM

from ..errors import ModelError, SampleError
from ..requests import LogProb, PseudoLogLikelihood
from .devices import pick_device, pick_dtype, to_device
from .flops import per_token
from .hf import HuggingFace, accepts
from .padded import log_probs


@dataclass(frozen=True, slots=True)
class Masked:
    """A text with one token hidden. ``ids`` hold the mask at ``place``, where ``token`` stood."""

    ids: list[int]
    place: int
    token: int


class HFMaskedLM:
    """Answers `PseudoLogLikelihood`: a text is as many passes as it has scored tokens, batched with those of all other texts."""

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        self.name = source.target
        self.device = pick_device(device)
        config = source.config()
        self.module = source.weights(AutoModelForMaskedLM, self.device, pick_dtype(dtype, self.device, config.dtype))
        self.dtype = self.module.dtype
        self.tokenizer = source.tokenizer()
        if self.tokenizer.mask_token_id is None:
            raise ModelError(f"the tokenizer of {self.name!r} has no mask token, so nothing can be hidden from the model")
        pad = next((i for i in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id) if i is not None), 0)
        self._pad = pad if accepts(self.module, "attention_mask") else None
        self.max_length = source.longest(self.module, config, self.tokenizer.model_max_length)
        self._rounded = source.rounded
        self.flops_per_token = per_token(self.module)
        self.fingerprint = source.fingerprint(self.dtype)

    def split(self, request: PseudoLogLikelihood) -> Sequence[Masked]:
        ids, special = self._tokens(request.text)
        if len(ids) > self.max_length:
            raise SampleError(f"the text has {len(ids)} tokens and the model takes {self.max_length}: a part would go unscored")
        places = list(range(len(ids)))
        if request.other:
            # Not junk: a long text's frequent tokens (from 200 tokens on) are tokens as others are.
            matcher = SequenceMatcher(None, ids, self._tokens(request.other)[0], autojunk=False)
            places = [i for block in matcher.get_matching_blocks() for i in range(block.a, block.a + block.size)]
        scored = [place for place in places if not special[place]]
        if not scored:
            raise SampleError("the texts have no token in common" if request.other else "the text has no tokens to score")
        mask = self.tokenizer.mask_token_id
        return tuple(Masked([*ids[:place], mask, *ids[place + 1 :]], place, ids[place]) for place in scored)

    def length(self, unit: Masked) -> int:
        return len(unit.ids)

    def batch_key(self, unit: Masked) -> Hashable:
        """Texts of one length only, where the model would see the padding."""
        return None if self._pad is not None else len(unit.ids)

    def pseudo_loglikelihood(self, batch: Sequence[Masked]) -> list[LogProb]:
        """Right padding, which is masked:

        ids    s w M w s P      mask   1 1 1 1 1 0
               s w w M w s             1 1 1 1 1 1
        """
        width = max(len(unit.ids) for unit in batch)
        ids_BL = torch.tensor([unit.ids + [self._pad or 0] * (width - len(unit.ids)) for unit in batch])
        options = {}
        if self._pad is not None:
            mask_BL = torch.tensor([[1] * len(unit.ids) + [0] * (width - len(unit.ids)) for unit in batch])
            options["attention_mask"] = to_device(mask_BL, self.device)
        rows_B = torch.arange(len(batch), device=self.device)
        places_B = torch.tensor([unit.place for unit in batch], device=self.device)
        tokens_B = torch.tensor([unit.token for unit in batch], device=self.device)
        with torch.inference_mode():
            logits_BV = self.module(input_ids=to_device(ids_BL, self.device), **options).logits[rows_B, places_B].float()
            values_B, greedy_B = log_probs(logits_BV, rows_B, tokens_B, rounded=self._rounded)
        return [LogProb(value, 1, greedy) for value, greedy in zip(values_B.tolist(), greedy_B.tolist(), strict=True)]

    def join(self, request: PseudoLogLikelihood, parts: Sequence[LogProb]) -> LogProb:
        return LogProb(sum(part.value for part in parts), len(parts), all(part.is_greedy for part in parts))

    def _tokens(self, text: str) -> tuple[list[int], list[int]]:
        """Ids with the tokenizer's own special tokens, and which of them are such."""
        try:
            encoded = self.tokenizer(text, return_special_tokens_mask=True, verbose=False)
        except (TypeError, UnicodeEncodeError) as error:
            if any("\ud800" <= c <= "\udfff" for c in text):
                raise SampleError("the text holds a lone surrogate, which is not valid Unicode and has no tokens") from error
            raise
        return encoded["input_ids"], encoded["special_tokens_mask"]
