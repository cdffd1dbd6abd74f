"""Continuous batching: prompts are read in packs, and every row that writes takes one step a pass until it is done.

What several rows have read alike stays where it was computed, once; what a row read alone, and what it writes, stands in its slot. A row
that is done leaves the next pass, and its slot goes to the next prompt.
Shape legend: R slots, n writing rows, H heads, G key heads, C keys of a slot, D head size, V vocabulary.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from ...api.model import Pass
from ..torch.logits import nan_logits
from .generation_state import Prompt, Writing, tempered
from .packed_attention import Part, Stored, merge, softmax_attention
from .prefix_trie import Pack, Scored, forest

if TYPE_CHECKING:
    from .packed import Flat

_SHARED = 16
"""Fewer tokens than this that rows have in common are copied to each: a call for them would cost more."""

_SLOT_TOKENS, _PACK_TOKENS = 16, 16
"""There is a slot for each so many tokens of a pack, and slots hold so many times the tokens of a pack: less memory means fewer of both."""

_STEP = 32
"""Slots grow by so many keys."""


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """Tokens ``[start, end)`` of a pack, by their keys and values."""

    stored: Stored
    start: int
    end: int

    def key(self) -> tuple[int, int, int]:
        return id(self.stored), self.start, self.end

    def of(self, tensors: list[torch.Tensor], layer: int) -> torch.Tensor:
        return tensors[layer][:, :, self.start : self.end]


@dataclass(eq=False, slots=True)
class Row:
    """A prompt that was read. ``read``: where its keys are; ``logits``: of its first token to write; ``slot``: once it has one."""

    index: int
    writing: Writing
    read: list[Piece]
    logits: torch.Tensor
    slot: int = -1
    token: int = -1

    @property
    def position(self) -> int:
        """Of the newest token, which the next pass reads."""
        return len(self.writing.prompt.ids) + self.writing.num_tokens - 1


def generate(
    flat: Flat, prompts: Sequence[Prompt], tokenizer: Any, ends: Collection[int], name: str, tokens: int, rows: int
) -> Iterator[Pass]:
    """Yield a pass each time, with the completions that are done. All prompts have one temperature.

    ends: tokens that end a text. tokens: of a pass. rows: that are written at a time. Raises `NonFiniteError` on NaN logits.
    """
    reading = _Reading(flat, prompts, tokenizer, ends, tokens)
    longest = max(len(p.ids) + p.request.max_tokens for p in prompts)
    num_slots = max(1, min(rows, len(prompts), tokens // _SLOT_TOKENS, _PACK_TOKENS * tokens // longest))
    slots = _Slots(num_slots)
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
            flops = flat.flops(len(active), len(active), sum(row.position + 1 for row in active))
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
        raise nan_logits(name)
    for row, token in zip(rows, tempered(logits_nV, [r.writing for r in rows]).argmax(1).tolist(), strict=True):
        row.token = token
        row.writing.add(token)
    return [(row.index, row.writing.completion()) for row in rows if row.writing.done]


@torch.inference_mode()
def _step(flat: Flat, rows: Sequence[Row], slots: _Slots) -> torch.Tensor:
    device = rows[0].logits.device
    ids, positions = torch.tensor([[row.token for row in rows], [row.position for row in rows]]).to(device, non_blocking=True)
    return flat.head(flat.rows(ids, positions, slice(None), slots.attention(rows)))


# ── reading prompts ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Read:
    tokens: int
    flops: int
    rows: list[Row]


class _Reading:
    """All prompts as one forest, of which a pack is computed when there is room for what it gives."""

    def __init__(self, flat: Flat, prompts: Sequence[Prompt], tokenizer: Any, ends: Collection[int], tokens: int) -> None:
        self._flat, self._prompts, self._tokenizer, self._ends = flat, prompts, tokenizer, ends
        # Scored once, at its last token: what is scored there is the vocabulary.
        self._packs = forest([Scored([*p.ids, 0], 1) for p in prompts], tokens)
        self._path, self._pieces = Stored(), list[Piece]()

    def ahead(self) -> list[Piece]:
        """What prompts that are still to be read have in common with those that were."""
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
            read = self._found(pack, pack.ancestry(int(pack.rows_S[scored])), stored)
            rows.append(Row(owner, Writing(self._prompts[owner], self._tokenizer, self._ends), read, logits_SV[scored]))
        ancestry = pack.ancestry(len(pack.ids_T) - 1)
        self._pieces = _first(self._found(pack, ancestry, stored), len(pack.next_path))
        flops = self._flat.flops(len(pack.ids_T), len(pack.rows_S), pack.num_pairs)
        return _Read(len(pack.ids_T), flops, rows)

    def _found(self, pack: Pack, ancestry: Iterable[tuple[int, int]], stored: Stored) -> list[Piece]:
        found: list[Piece] = []
        for k0, k1 in ancestry:
            if k0 < pack.path_length:
                found += _first(self._pieces, k1)
            else:
                found.append(Piece(stored, k0 - pack.path_length, k1 - pack.path_length))
        return found


def _first(pieces: Iterable[Piece], num: int) -> list[Piece]:
    """The first ``num`` tokens of some pieces."""
    kept = []
    for piece in pieces:
        take = min(num, piece.end - piece.start)
        if take:
            kept.append(Piece(piece.stored, piece.start, piece.start + take))
        num -= take
    return kept


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Slots:
    """Keys and values [R, G, C, D] that belong to one row each, by layer, and the pieces that rows share."""

    def __init__(self, num: int) -> None:
        self._free = list(range(num))[::-1]
        self._num, self._capacity = num, 0
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._seen = torch.zeros(0)
        self._lengths = [0] * num
        self._shared: dict[int, list[Piece]] = {}

    @torch.inference_mode()
    def enter(self, rows: Sequence[Row], ahead: Sequence[Piece]) -> None:
        split = _split_at_branches([*(row.read for row in rows), ahead])
        uses = Counter(piece.key() for pieces in split for piece in pieces)
        for row, pieces in zip(rows, split, strict=False):
            row.slot = self._free.pop()
            shared = [p for p in pieces if uses[p.key()] > 1 and p.end - p.start >= _SHARED]
            own = [p for p in pieces if not (uses[p.key()] > 1 and p.end - p.start >= _SHARED)]
            self._shared[row.slot] = shared
            length = sum(p.end - p.start for p in own)
            self._grow(length + row.writing.prompt.request.max_tokens, pieces[0].stored)
            at = 0
            for piece in own:
                size = piece.end - piece.start
                for layer, (keys, values) in enumerate(zip(self._keys, self._values, strict=True)):
                    keys[row.slot, :, at : at + size] = piece.of(piece.stored.keys, layer)[0]
                    values[row.slot, :, at : at + size] = piece.of(piece.stored.values, layer)[0]
                at += size
            self._lengths[row.slot] = length
            self._seen[row.slot] = float("-inf")
            self._seen[row.slot, :, :, :length] = 0
            row.read = []

    def leave(self, row: Row) -> None:
        self._free.append(row.slot)
        del self._shared[row.slot]

    @torch.inference_mode()
    def attention(self, rows: Sequence[Row]) -> _Step:
        places = [self._lengths[row.slot] for row in rows]
        slots = torch.tensor([row.slot for row in rows], device=self._seen.device)
        self._seen[slots, :, :, torch.tensor(places, device=self._seen.device)] = 0
        for row in rows:
            self._lengths[row.slot] += 1
        shared: dict[tuple[int, int, int], list[tuple[Piece, int, int]]] = {}
        for at, row in enumerate(rows):
            for piece in self._shared[row.slot]:
                runs = shared.setdefault(piece.key(), [])
                if runs and runs[-1][2] == at:
                    runs[-1] = (piece, runs[-1][1], at + 1)
                else:
                    runs.append((piece, at, at + 1))
        last, width = max(row.slot for row in rows) + 1, max(places) + 1
        return _Step(
            [k[:last] for k in self._keys], [v[:last] for v in self._values], width, slots, places, self._seen[:last, :, :, :width],
            [run for runs in shared.values() for run in runs],
        )  # fmt: skip

    def _grow(self, needed: int, like: Stored) -> None:
        if needed <= self._capacity:
            return
        more = -(-needed // _STEP) * _STEP - self._capacity
        _, heads, _, size = like.keys[0].shape
        for tensors, kind in ((self._keys, like.keys), (self._values, like.values)):
            old = tensors or [kind[0].new_zeros(self._num, heads, 0, size) for _ in kind]
            tensors[:] = [torch.cat([t, t.new_zeros(self._num, heads, more, size)], 2) for t in old]
        seen = like.keys[0].new_full((self._num, 1, 1, more), float("-inf"))
        if not self._capacity:
            # A slot that was never used must not be a softmax over nothing.
            seen[..., 0] = 0
        self._seen = torch.cat([self._seen.reshape(self._num, 1, 1, -1).to(seen), seen], 3)
        self._capacity += more


class _Step:
    """The attention of one pass in which every row reads its newest token."""

    def __init__(
        self, keys: list[torch.Tensor], values: list[torch.Tensor], width: int, slots: torch.Tensor, places: list[int],
        seen: torch.Tensor, shared: list[tuple[Piece, int, int]],
    ) -> None:  # fmt: skip
        self._keys, self._values, self._width, self._slots, self._seen, self._shared = keys, values, width, slots, seen, shared
        self._places = torch.tensor(places, device=slots.device)
        self._layer = 0

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        keys, values = self._keys[self._layer], self._values[self._layer]
        keys[self._slots, :, self._places] = key[0].transpose(0, 1)
        values[self._slots, :, self._places] = value[0].transpose(0, 1)
        query_nHD = query[0].transpose(0, 1)
        query_RHD = query.new_zeros(len(keys), *query_nHD.shape[1:]).index_copy_(0, self._slots, query_nHD)
        out, lse = softmax_attention(query_RHD[:, :, None], keys[:, :, : self._width], values[:, :, : self._width], scale, self._seen)
        own: Part = out[self._slots, :, 0].transpose(0, 1)[None], lse[self._slots, :, 0].transpose(0, 1)[None]
        for piece, start, end in self._shared:
            stored, layer = piece.stored, self._layer
            more = softmax_attention(query[:, :, start:end], piece.of(stored.keys, layer), piece.of(stored.values, layer), scale)
            merge((own[0][:, :, start:end], own[1][:, :, start:end]), more)
        self._layer += 1
        return own[0].transpose(1, 2)


def _split_at_branches(reads: Sequence[Sequence[Piece]]) -> list[list[Piece]]:
    """The same tokens in pieces that are either the same for two rows or apart: cut wherever a row leaves another."""
    cuts: dict[int, set[int]] = {}
    for pieces in reads:
        for piece in pieces:
            cuts.setdefault(id(piece.stored), set()).update((piece.start, piece.end))
    return [[Piece(piece.stored, a, b) for piece in pieces for a, b in _between(piece, sorted(cuts[id(piece.stored)]))] for pieces in reads]


def _between(piece: Piece, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    inside = [cut for cut in cuts if piece.start <= cut <= piece.end]
    return pairwise(inside)
