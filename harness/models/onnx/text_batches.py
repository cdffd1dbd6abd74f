"""Turn rows of tokens into the inputs of a graph.

Shape legend: B batch, L tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from .files import Export
from .roles import IDS, MASK, POSITIONS, TYPES
from .session import Session

_SHORT, _LONG = "a b", "a longer text, which tells whether padding changes an answer"
_ROBERTA = frozenset({"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm"})
"""Models whose positions start behind the padding token's number."""


class TextBatches:
    """Runs batches of tokenised texts.

    length: the fixed number of tokens of a pass; None if any number fits.
    takes_padding: whether texts of different lengths may share a batch.
    """

    def __init__(self, session: Session, export: Export, pad: int) -> None:
        self._session, self._roles, self._pad = session, export.roles, pad
        self.length = export.roles.inputs[IDS].size(1)
        self.takes_padding = self.length is not None or MASK in export.roles.inputs
        self.takes_types = TYPES in export.roles.inputs

    @property
    def notes(self) -> tuple[str, ...]:
        if self.length is None or MASK in self._roles.inputs:
            return ()
        return (f"its graph takes {self.length:,} tokens and no mask, so shorter texts are padded and the padding is read",)

    def check_padding(self, tokenizer: Any, max_length: int, run: Callable[[Sequence[list[int]]], np.ndarray], /) -> None:
        """Let only texts of one length share a batch if padding changes an answer. run: returns one row per row of tokens."""
        if self.length is not None or not self.takes_padding:
            return
        short, long = (tokenizer(text, truncation=True, max_length=min(16, max_length))["input_ids"] for text in (_SHORT, _LONG))
        alone, beside = run([short]), run([short, long])[:1]
        tolerance = 1e-4 if self._roles.output.dtype == "float32" else 5e-2
        self.takes_padding = bool(np.allclose(alone, beside, rtol=tolerance, atol=tolerance * float(np.abs(alone).max())))

    def batch_key(self, num_tokens: int, /) -> Hashable:
        return None if self.takes_padding else num_tokens

    def run(self, ids: Sequence[list[int]], types: Sequence[list[int] | None] = (), /) -> tuple[np.ndarray, np.ndarray]:
        """Return the output of a batch, and its mask [B, L]."""
        width = self.length or max(map(len, ids))
        mask_BL = np.array([[1] * len(row) + [0] * (width - len(row)) for row in ids])
        inputs = {IDS: _pad_right(ids, self._pad, width)}
        if MASK in self._roles.inputs:
            inputs[MASK] = mask_BL
        if self.takes_types:
            inputs[TYPES] = _pad_right([row or [] for row in types] or [[]] * len(ids), 0, width)
        if POSITIONS in self._roles.inputs:
            inputs[POSITIONS] = np.tile(np.arange(width), (len(ids), 1))
        return self._session.run(inputs), mask_BL


def count_max_length(export: Export, tokenizer: Any, wanted: int | None, /) -> int:
    """Return the maximum number of tokens: the setting, else the smallest limit of tokenizer, configuration and graph."""
    fixed, config = export.roles.inputs[IDS].size(1), export.config
    positions = int(config.get("max_position_embeddings") or 0)
    if positions and config.get("model_type") in _ROBERTA:
        positions -= int(config.get("pad_token_id") or 0) + 1
    known = tokenizer.model_max_length
    limits = (wanted or (known if known < 10**9 else None), None if wanted else positions or None, fixed)
    return min((limit for limit in limits if limit), default=512)


def _pad_right(rows: Sequence[Sequence[int]], value: int, width: int) -> np.ndarray:
    return np.array([[*row, *[value] * (width - len(row))] for row in rows])
