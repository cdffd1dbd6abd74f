"""Text encoders: one vector per text, pooled as in sentence-transformers.

Shape legend: B batch, L tokens, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import AutoModel, AutoModelForTextEncoding

from ...api.responses import Embedding
from ..checkpoint.sentence_vectors import SentenceReader, Text, build_pooling
from ..checkpoint.sentences import read_sentence_settings
from ..checkpoint.tokens import check_tokens
from .checkpoint_model import HFTextModel
from .source import HuggingFace


class HFEncoder(HFTextModel, SentenceReader):
    """Answers `Embed` for text, from the hidden states of ``Embed.layer`` (-1: the last).

    Pooling, dense layers, length, case, prompt and normalisation follow the files of sentence-transformers; without these,
    the vector is the mean over the tokens.
    """

    optional_weights = ("pooler.",)

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        # For T5EncoderModel, the config alone would build an encoder and a decoder.
        is_part = any(str(name).endswith("EncoderModel") for name in source.config().architectures)
        super().__init__(source, device, dtype, AutoModelForTextEncoding if is_part else AutoModel)
        self.sentences = read_sentence_settings(source.place.find_file, self.name)
        self._pool = build_pooling(self.sentences, self.tokenizer)
        if self.sentences.max_length and source.max_length is None:
            self.max_length = min(self.max_length, self.sentences.max_length)
        self.notes += (*self.sentences.notes, *check_tokens(self.tokenizer, self.module, self.name))
        self.fingerprint = source.fingerprint(self.module, self.dtype, self.max_length)

    def embed(self, batch: Sequence[Text]) -> list[Embedding]:
        arguments, layer = self.arguments([unit.ids for unit in batch]), batch[0].layer
        mask_BL = arguments.get("attention_mask", torch.ones_like(arguments["input_ids"]))
        with torch.inference_mode():
            output = self.module(**arguments, output_hidden_states=layer != -1)
            vectors = self._pool(output.last_hidden_state if layer == -1 else output.hidden_states[layer], mask_BL)
        return [Embedding(tuple(row), unit.num_truncated) for row, unit in zip(vectors.cpu().tolist(), batch, strict=True)]
