"""Continuous batching: prompts are read in packs, and each generating row takes one step per pass until it is done.

Keys and values of prefixes shared by several rows stay where they were computed. A slot holds those of one row: the rest
of its prompt, and its generated tokens. When a row is done, its slot goes to the next prompt.
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
from ..torch.logits import make_nan_error
from .generation_state import Prompt, Writing, apply_temperature
from .packed_attention import Part, Stored, attend, merge
from .prefix_trie import Pack, Scored, make_packs

if TYPE_CHECKING:
    from .packed import Flat

_SHARED = 16
"""Shared prefixes with fewer tokens are copied to each row, which is cheaper than a separate call."""

_SLOT_TOKENS, _PACK_TOKENS = 16, 16
"""Tokens of a pack per slot, and total size of the slots in packs: smaller packs mean fewer slots and less memory."""

_STEP = 32
"""Number of keys by which slots grow."""


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """Keys and values of the tokens ``[start, end)`` of a pack."""

    stored: Stored
    start: int
    end: int

    def key(self) -> tuple[int, int, int]:
        return id(self.stored), self.start, self.end

    def of(self, tensors: list[torch.Tensor], layer: int) -> torch.Tensor:
        return tensors[layer][:, :, self.start : self.end]


@dataclass(eq=False, slots=True)
class Row:
    """A prompt that was read.

    read: pieces with its keys and values. logits: for its first new token. slot: its slot, -1 without one.
    """

    index: int
    writing: Writing
    read: list[Piece]
    logits: torch.Tensor
    slot: int = -1
    token: int = -1

    @property
    def position(self) -> int:
        """Position of the newest token, the input of the next pass."""
        return len(self.writing.prompt.ids) + self.writing.num_tokens - 1


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
        raise make_nan_error(name)
    for row, token in zip(rows, apply_temperature(logits_nV, [r.writing for r in rows]).argmax(1).tolist(), strict=True):
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
        self._pieces = _take_first(self._collect(pack, ancestry, stored), len(pack.next_path))
        flops = self._flat.flops(len(pack.ids_T), len(pack.rows_S), pack.num_pairs)
        return _Read(len(pack.ids_T), flops, rows)

    def _collect(self, pack: Pack, ancestry: Iterable[tuple[int, int]], stored: Stored) -> list[Piece]:
        """Return the pieces of key ranges in the path or the pack."""
        pieces: list[Piece] = []
        for k0, k1 in ancestry:
            if k0 < pack.path_length:
                pieces += _take_first(self._pieces, k1)
            else:
                pieces.append(Piece(stored, k0 - pack.path_length, k1 - pack.path_length))
        return pieces


def _take_first(pieces: Iterable[Piece], num: int) -> list[Piece]:
    """Return the pieces of the first ``num`` tokens."""
    kept = []
    for piece in pieces:
        take = min(num, piece.end - piece.start)
        if take:
            kept.append(Piece(piece.stored, piece.start, piece.start + take))
        num -= take
    return kept


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Slots:
    """Keys and values [R, G, C, D] of single rows, by layer, and the pieces that rows share."""

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
            # The softmax of an unused slot must have at least one key.
            seen[..., 0] = 0
        self._seen = torch.cat([self._seen.reshape(self._num, 1, 1, -1).to(seen), seen], 3)
        self._capacity += more


class _Step:
    """The attention of a pass in which each row reads its newest token."""

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
        out, lse = attend(query_RHD[:, :, None], keys[:, :, : self._width], values[:, :, : self._width], scale, self._seen)
        own: Part = out[self._slots, :, 0].transpose(0, 1)[None], lse[self._slots, :, 0].transpose(0, 1)[None]
        for piece, start, end in self._shared:
            stored, layer = piece.stored, self._layer
            more = attend(query[:, :, start:end], piece.of(stored.keys, layer), piece.of(stored.values, layer), scale)
            merge((own[0][:, :, start:end], own[1][:, :, start:end]), more)
        self._layer += 1
        return own[0].transpose(1, 2)


def _split_at_branches(reads: Sequence[Sequence[Piece]]) -> list[list[Piece]]:
    """Split pieces wherever rows branch, so that any two pieces are equal or disjoint."""
    cuts: dict[int, set[int]] = {}
    for pieces in reads:
        for piece in pieces:
            cuts.setdefault(id(piece.stored), set()).update((piece.start, piece.end))
    return [
        [Piece(piece.stored, a, b) for piece in pieces for a, b in _find_gaps(piece, sorted(cuts[id(piece.stored)]))] for pieces in reads
    ]


def _find_gaps(piece: Piece, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    inside = [cut for cut in cuts if piece.start <= cut <= piece.end]
    return pairwise(inside)
