"""Vectors of texts from an ONNX graph, pooled as in sentence-transformers unless the graph does it.

Shape legend: B batch, L tokens, D embedding.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...api.errors import CapabilityError
from ...api.responses import Embedding
from ..checkpoint.sentence_vectors import SentenceReader, Text, build_pooling
from ..checkpoint.sentences import read_sentence_settings
from .files import Export
from .preparation import load_tokenizer, note_dtype
from .session import Session
from .text_batches import TextBatches, count_max_length

if TYPE_CHECKING:
    from .source import Onnx


class OnnxEncoder(SentenceReader):
    """Answers `Embed` for text, for the last layer only."""

    def __init__(self, source: Onnx, export: Export, device: str, dtype: str) -> None:
        self.name = source.target
        self.tokenizer, notes = load_tokenizer(export, source.target)
        self.sentences = read_sentence_settings(export.find_file, self.name)
        self._pool = build_pooling(self.sentences, self.tokenizer)
        self.max_length = count_max_length(export, self.tokenizer, source.max_length or self.sentences.max_length)
        session = Session(export, device, source.providers)
        self._batches = TextBatches(session, export, self.tokenizer.pad_token_id or 0)
        self._batches.check_padding(self.tokenizer, self.max_length, self._compute_vectors)
        is_pooled = export.roles.output.rank == 2
        own = ("its graph pools by itself",) if is_pooled else self.sentences.notes
        self.notes = (*notes, *own, *self._batches.notes, *note_dtype(export, dtype))
        self.fingerprint = source.fingerprint(export, session.providers)

    def batch_key(self, unit: Text, /) -> Hashable:
        return self._batches.batch_key(len(unit.ids))

    def embed(self, batch: Sequence[Text]) -> list[Embedding]:
        if batch[0].layer != -1:
            raise CapabilityError(f"{self.name!r} returns its last layer only; give the checkpoint that it was exported from for others")
        vectors = self._compute_vectors([unit.ids for unit in batch])
        return [Embedding(tuple(row), unit.num_truncated) for row, unit in zip(vectors.tolist(), batch, strict=True)]

    def _compute_vectors(self, ids: Sequence[list[int]]) -> np.ndarray:
        output, mask_BL = self._batches.run(ids)
        if output.ndim == 2:
            return output
        vectors: np.ndarray = self._pool(torch.from_numpy(output), torch.from_numpy(mask_BL)).numpy()
        return vectors
