"""Continuous batching: prompts are read in packs, and each generating row takes one step per pass until it is done.

Shape legend: V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...api.model import Pass
from ..torch.logits import make_nan_error
from .generation_state import Prompt, Writing, apply_temperature
from .packed_attention import Stored
from .prefix_trie import Pack, Scored, make_packs
from .slots import Piece, Row, Slots, take_first

if TYPE_CHECKING:
    from .packed import Flat

_SLOT_TOKENS, _PACK_TOKENS = 16, 16
"""Tokens of a pack per slot, and total size of the slots in packs: smaller packs mean fewer slots and less memory."""


def generate(
    flat: Flat, prompts: Sequence[Prompt], tokenizer: Any, ends: Collection[int], name: str, tokens: int, rows: int
) -> Iterator[Pass]:
    """Yield passes with the completions that they finish. All prompts must have the same temperature.

    ends: tokens that end a text. tokens: maximum per pass. rows: maximum number of generating rows.

    Raises `NonFiniteError` for NaN logits.
    """
    reading = _Reading(flat, prompts, tokenizer, ends, tokens)
    longest = max(len(p.ids) + p.request.max_tokens for p in prompts)
    num_slots = max(1, min(rows, len(prompts), tokens // _SLOT_TOKENS, _PACK_TOKENS * tokens // longest))
    slots = Slots(num_slots)
    active: list[Row] = []
    ready: deque[Row] = deque()
    while True:
        while len(active) + len(ready) < num_slots and (read := reading.next_pack()) is not None:
            ready += read.rows
            yield Pass(read.tokens, [], read.flops)
        if not active and not ready:
            return
        entering = [ready.popleft() for _ in range(min(len(ready), num_slots - len(active)))]
        if entering:
            slots.enter(entering, reading.ahead())
            done = _write(entering, torch.stack([row.logits for row in entering]), name)
            active += entering
            yield Pass(0, done)
        else:
            flops = flat.flops(np.array([row.position for row in active]), len(active))
            done = _write(active, _step(flat, active, slots), name)
            yield Pass(len(active), done, flops)
        for row in active:
            if row.writing.done:
                slots.leave(row)
        active = [row for row in active if not row.writing.done]


@torch.inference_mode()
def _write(rows: Sequence[Row], logits_nV: torch.Tensor, name: str) -> list[tuple[int, Any]]:
    logits_nV = logits_nV.float()
    if bool(logits_nV.isnan().any()):
        raise make_nan_error(name)
    for row, token in zip(rows, apply_temperature(logits_nV, [r.writing for r in rows]).argmax(1).tolist(), strict=True):
        row.token = token
        row.writing.add(token)
    return [(row.index, row.writing.completion()) for row in rows if row.writing.done]


@torch.inference_mode()
def _step(flat: Flat, rows: Sequence[Row], slots: Slots) -> torch.Tensor:
    device = rows[0].logits.device
    ids, positions = torch.tensor([[row.token for row in rows], [row.position for row in rows]]).to(device, non_blocking=True)
    return flat.head(flat.rows(ids, positions, slice(None), slots.attention(rows)))


@dataclass(frozen=True, slots=True)
class _Read:
    tokens: int
    flops: int
    rows: list[Row]


class _Reading:
    """Reads the packs of all prompts, one pack whenever there are free slots."""

    def __init__(self, flat: Flat, prompts: Sequence[Prompt], tokenizer: Any, ends: Collection[int], tokens: int) -> None:
        self._flat, self._prompts, self._tokenizer, self._ends = flat, prompts, tokenizer, ends
        # One scored position, the last token, whose logits give the first new token.
        self._packs = make_packs([Scored([*p.ids, 0], 1) for p in prompts], tokens)
        self._path, self._pieces = Stored(), list[Piece]()

    def ahead(self) -> list[Piece]:
        """Return the pieces that unread prompts share with those that were read."""
        return self._pieces

    @torch.inference_mode()
    def next_pack(self) -> _Read | None:
        pack = next(self._packs, None)
        if pack is None:
            return None
        stored = Stored()
        logits_SV = self._flat.head(self._flat.run(pack, self._path, stored))
        rows = []
        for owner, scored in zip(pack.pair_owner_N.tolist(), pack.pair_row_N.tolist(), strict=True):
            read = self._collect(pack, pack.ancestry(int(pack.rows_S[scored])), stored)
            rows.append(Row(owner, Writing(self._prompts[owner], self._tokenizer, self._ends), read, logits_SV[scored]))
        ancestry = pack.ancestry(len(pack.ids_T) - 1)
        self._pieces = take_first(self._collect(pack, ancestry, stored), len(pack.next_path))
        flops = self._flat.flops(pack.positions_T, len(pack.rows_S))
        return _Read(len(pack.ids_T), flops, rows)

    def _collect(self, pack: Pack, ancestry: Iterable[tuple[int, int]], stored: Stored) -> list[Piece]:
        """Return the pieces of key ranges in the path or the pack."""
        pieces: list[Piece] = []
        for k0, k1 in ancestry:
            if k0 < pack.path_length:
                pieces += take_first(self._pieces, k1)
            else:
                start = k0 - pack.path_length
                pieces.append(Piece(stored, start, k1 - pack.path_length, int(pack.positions_T[start])))
        return pieces
