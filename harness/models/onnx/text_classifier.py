"""Text classification with an ONNX graph.

Shape legend: B batch, K scores.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import torch

from ...api.errors import ModelError
from ...api.responses import Logits
from ..checkpoint.text_reader import TextReader, Tokens, choose_padding
from ..common.labels import find_columns
from .files import Export
from .preparation import load_tokenizer, note_dtype
from .session import Session
from .text_batches import TextBatches, count_max_length

if TYPE_CHECKING:
    from .source import Onnx


class OnnxTextClassifier(TextReader):
    """Answers `Classify` for text and text pairs."""

    def __init__(self, source: Onnx, export: Export, device: str, dtype: str) -> None:
        self.name, self._head = source.target, source.read_head(export)
        self._outputs = source.make_outputs(export, self._head)
        tokenizer, notes = load_tokenizer(export, source.target)
        session = Session(export, device, source.providers)
        self._batches = TextBatches(session, export, choose_padding(tokenizer, source.pad_token, self.name))
        self.read_with(tokenizer, count_max_length(export, tokenizer, source.max_length), self._batches.takes_types)
        self._batches.check_padding(tokenizer, self.max_length, lambda rows: self._batches.run(rows)[0])
        self._own_notes = self.notes = (*notes, *self._batches.notes, *note_dtype(export, dtype))
        self.fingerprint = source.fingerprint(export, session.providers)

    def batch_key(self, unit: Tokens, /) -> Hashable:
        return self._batches.batch_key(len(unit.ids))

    def classify(self, batch: Sequence[Tokens]) -> list[Logits]:
        scores_BK, _ = self._batches.run([unit.ids for unit in batch], [unit.types for unit in batch])
        labels = self._head.labels or batch[0].labels or tuple(map(str, range(scores_BK.shape[1])))
        logits = self._outputs.of_tensor(torch.from_numpy(scores_BK), len(labels))
        self.notes = (*self._own_notes, *self._outputs.notes)
        logits = self._head.logits(logits)
        if logits.shape[1] != len(labels):
            raise ModelError(
                f"{self.name!r} returns {scores_BK.shape[1]} scores, and there are {len(labels)} labels ({', '.join(labels)}); name the "
                "outputs in order with the model setting labels"
            )
        is_multi_label = self._head.is_multi_label
        rows = logits[:, find_columns(labels, batch[0].labels)].tolist()
        return [Logits(tuple(row), unit.num_truncated, is_multi_label) for row, unit in zip(rows, batch, strict=True)]
