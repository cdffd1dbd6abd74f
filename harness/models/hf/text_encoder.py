"""Text encoders: one vector per text, pooled as in sentence-transformers.

Shape legend: B batch, L tokens, D embedding.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoModelForTextEncoding

from ...api.errors import SampleError
from ...api.requests import Embed, Embedding, Request, Response
from ...system.offline import is_offline
from ..checkpoint.sentences import read_sentence_settings
from ..checkpoint.tokens import check_tokens
from ..common.text_prompts import require_text
from ..common.valid_text import refuse_lone_surrogates
from .checkpoint_model import HFTextModel
from .source import HuggingFace


@dataclass(frozen=True, slots=True)
class Text:
    """A tokenised text, and the layer whose embedding is requested."""

    ids: list[int]
    num_truncated: int
    layer: int


class HFEncoder(HFTextModel):
    """Answers `Embed` for text, from the hidden states of ``Embed.layer`` (-1: the last).

    Pooling (mean or first token), length, case, prompt and normalisation follow the files of sentence-transformers;
    without these, the vector is the mean over the tokens.
    """

    optional_weights = ("pooler.",)

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        # For T5EncoderModel, the config alone would build an encoder and a decoder.
        is_part = any(str(name).endswith("EncoderModel") for name in source.config().architectures)
        super().__init__(source, device, dtype, AutoModelForTextEncoding if is_part else AutoModel)
        self._own = read_sentence_settings(partial(_read, source), self.name)
        if self._own.max_length and source.max_length is None:
            self.max_length = min(self.max_length, self._own.max_length)
        self.notes += (*self._own.notes, *check_tokens(self.tokenizer, self.module, self.name))
        self.fingerprint = source.fingerprint(self.module, self.dtype, self._own, self.max_length)

    def split(self, request: Request[Response], /) -> Sequence[Text]:
        assert isinstance(request, Embed)
        value = require_text(request.input)
        text = self._own.prompt + value
        text = text.lower() if self._own.lowers else text
        with refuse_lone_surrogates(value):
            whole = self.tokenizer(text, verbose=False)["input_ids"]
        if not whole:
            raise SampleError("the text has no tokens, so there is nothing to embed")
        ids = whole
        if len(whole) > self.max_length:
            ids = self.tokenizer(text, truncation=True, max_length=self.max_length)["input_ids"]
        return (Text(ids, len(whole) - len(ids), request.layer),)

    def embed(self, batch: Sequence[Text]) -> list[Embedding]:
        arguments, layer = self.arguments([unit.ids for unit in batch]), batch[0].layer
        mask_BL = arguments.get("attention_mask", torch.ones_like(arguments["input_ids"]))
        with torch.inference_mode():
            output = self.module(**arguments, output_hidden_states=layer != -1)
            hidden_BLD = (output.last_hidden_state if layer == -1 else output.hidden_states[layer]).float()
            weights_BL1 = mask_BL.unsqueeze(-1).float()
            vectors_BD = hidden_BLD[:, 0] if self._own.first else (hidden_BLD * weights_BL1).sum(1) / weights_BL1.sum(1)
            if self._own.normalises:
                vectors_BD = torch.nn.functional.normalize(vectors_BD, dim=1)
        return [Embedding(tuple(row), unit.num_truncated) for row, unit in zip(vectors_BD.cpu().tolist(), batch, strict=True)]


def _read(source: HuggingFace, name: str) -> Any:
    """Read a JSON file of the checkpoint; None if there is no such file."""
    path = Path(source.target, name)
    if not Path(source.target).is_dir():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            path = Path(hf_hub_download(source.target, name, revision=source.revision, local_files_only=is_offline()))
        except (EntryNotFoundError, LocalEntryNotFoundError):
            return None
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
