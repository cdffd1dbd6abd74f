"""Text encoders: one vector a text, pooled as sentence-transformers pools.

Shape legend: B batch, L tokens, D embedding.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoModelForTextEncoding

from ...api.errors import SampleError
from ...api.requests import Embed, Embedding
from ...system.offline import is_offline
from ..checkpoint.sentences import read_sentence_settings
from ..checkpoint.tokens import check_tokens, padding_id
from ..common.text_prompts import text_of
from ..common.valid_text import tokenising
from ..torch.devices import pick_device, pick_dtype, to_device
from ..torch.flops import per_token
from ..torch.rotary_positions import TurningPositions
from ..torch.signature import accepts
from .source import HuggingFace


@dataclass(frozen=True, slots=True)
class Text:
    """One tokenised text of a layer's embedding."""

    ids: list[int]
    num_truncated: int
    layer: int


class HFEncoder:
    """Answers `Embed` for text. ``Embed.layer``: which layer's hidden states, -1 the last.

    Where the checkpoint carries sentence-transformers' files, its pooling (mean or first token), length, case, prompt and normalisation
    hold; without them a text's vector is the mean over its tokens.
    """

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        self.name = source.target
        self.device = pick_device(device)
        config = source.config()
        # T5EncoderModel: its config alone would make an encoder and a decoder.
        auto = AutoModelForTextEncoding if any(str(name).endswith("EncoderModel") for name in config.architectures) else AutoModel
        self.module = source.weights(auto, self.device, pick_dtype(dtype, self.device, config.dtype), optional=("pooler.",))
        self.dtype = self.module.dtype
        self._turning = TurningPositions(self.module)
        self.tokenizer = source.tokenizer()
        self._pad = padding_id(self.tokenizer, self.module) if accepts(self.module, "attention_mask") else None
        own = read_sentence_settings(partial(_read, source), self.name)
        self._first, self._normalises, self._lowers, self._prompt = own.first, own.normalises, own.lowers, own.prompt
        longest = source.longest(self.module, config, self.tokenizer.model_max_length)
        self.max_length = min(longest, own.max_length) if own.max_length and source.max_length is None else longest
        self.notes = (*source.notes, *own.notes, *check_tokens(self.tokenizer, self.module, self.name))
        self.flops_per_token = per_token(self.module)
        self.fingerprint = source.fingerprint(self.dtype, self._first, self._normalises, self._lowers, self._prompt, self.max_length)

    def split(self, request: Embed) -> Sequence[Text]:
        given = text_of(request.input)
        text = self._prompt + given
        text = text.lower() if self._lowers else text
        with tokenising(given):
            whole = self.tokenizer(text, verbose=False)["input_ids"]
        if not whole:
            raise SampleError("the text has no tokens, so there is nothing to embed")
        ids = whole
        if len(whole) > self.max_length:
            ids = self.tokenizer(text, truncation=True, max_length=self.max_length)["input_ids"]
        return (Text(ids, len(whole) - len(ids), request.layer),)

    def length(self, unit: Text) -> int:
        return len(unit.ids)

    def batch_key(self, unit: Text) -> Hashable:
        """Texts of one length only, where the model would see the padding."""
        return self._turning.alike(len(unit.ids)) if self._pad is not None else len(unit.ids)

    def embed(self, batch: Sequence[Text]) -> list[Embedding]:
        width = max(len(unit.ids) for unit in batch)
        ids_BL = to_device(torch.tensor([unit.ids + [self._pad or 0] * (width - len(unit.ids)) for unit in batch]), self.device)
        mask_BL = to_device(torch.tensor([[1] * len(unit.ids) + [0] * (width - len(unit.ids)) for unit in batch]), self.device)
        options: dict[str, Any] = {"attention_mask": mask_BL} if self._pad is not None else {}
        layer = batch[0].layer
        with torch.inference_mode():
            output = self.module(input_ids=ids_BL, output_hidden_states=layer != -1, **options)
            hidden_BLD = (output.last_hidden_state if layer == -1 else output.hidden_states[layer]).float()
            weights_BL1 = mask_BL.unsqueeze(-1).float()
            vectors_BD = hidden_BLD[:, 0] if self._first else (hidden_BLD * weights_BL1).sum(1) / weights_BL1.sum(1)
            if self._normalises:
                vectors_BD = torch.nn.functional.normalize(vectors_BD, dim=1)
        return [Embedding(tuple(row), unit.num_truncated) for row, unit in zip(vectors_BD.cpu().tolist(), batch, strict=True)]


def _read(source: HuggingFace, name: str) -> Any:
    """A JSON file of the checkpoint, or None where it has no such file."""
    path = Path(source.target, name)
    if not Path(source.target).is_dir():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            path = Path(hf_hub_download(source.target, name, revision=source.revision, local_files_only=is_offline()))
        except (EntryNotFoundError, LocalEntryNotFoundError):
            return None
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
