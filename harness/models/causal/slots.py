"""Keys and values of generating rows.

Keys and values of prefixes shared by several rows stay where they were computed. A slot holds those of one row: the rest
of its prompt, and its generated tokens. When a row is done, its slot goes to the next prompt.
Shape legend: R slots, n generating rows, H heads, G key heads, C keys of a slot, D head size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import torch

from .attention_parts import Part, attend, make_bias, merge
from .generation_state import Writing
from .layer_rule import LayerRule
from .packed_attention import Stored

_SHARED = 16
"""Shared prefixes with fewer tokens are copied to each row, which is cheaper than a separate call."""

_STEP = 32
"""Number of keys by which slots grow."""


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """Keys and values of the tokens ``[start, end)`` of a pack. depth: position of the first one; the others follow it."""

    stored: Stored
    start: int
    end: int
    depth: int

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


def take_first(pieces: Iterable[Piece], num: int) -> list[Piece]:
    """Return the pieces of the first ``num`` tokens."""
    kept = []
    for piece in pieces:
        take = min(num, piece.end - piece.start)
        if take:
            kept.append(replace(piece, end=piece.start + take))
        num -= take
    return kept


class Slots:
    """Keys and values [R, G, C, D] of single rows, by layer, and the pieces that rows share."""

    def __init__(self, num: int) -> None:
        self._free = list(range(num))[::-1]
        self._num, self._capacity = num, 0
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._seen = torch.zeros(0)
        self._depths = torch.zeros(0, dtype=torch.int64)
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
                self._depths[row.slot, :, :, at : at + size] = torch.arange(piece.depth, piece.depth + size)
                at += size
            self._lengths[row.slot] = length
            self._seen[row.slot] = float("-inf")
            self._seen[row.slot, :, :, :length] = 0
            row.read = []

    def leave(self, row: Row) -> None:
        self._free.append(row.slot)
        del self._shared[row.slot]

    @torch.inference_mode()
    def attention(self, rows: Sequence[Row]) -> SlotAttention:
        places = [self._lengths[row.slot] for row in rows]
        slots = torch.tensor([row.slot for row in rows], device=self._seen.device)
        newest = slots, slice(None), slice(None), torch.tensor(places, device=self._seen.device)
        self._seen[newest] = 0
        positions = torch.tensor([row.position for row in rows], device=self._seen.device)
        self._depths[newest] = positions[:, None, None]
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
        return SlotAttention(
            [k[:last] for k in self._keys], [v[:last] for v in self._values], slots, places, positions,
            self._seen[:last, :, :, :width], self._depths[:last, :, :, :width], [run for runs in shared.values() for run in runs],
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
        self._depths = torch.cat([self._depths.reshape(self._num, 1, 1, -1).to(seen.device), torch.zeros_like(seen, dtype=torch.int64)], 3)
        self._capacity += more


class SlotAttention:
    """The attention of a pass in which each row reads its newest token.

    slots: [n], that of each row. places: the index in its slot of each row's newest token. positions: [n], of the newest tokens.
    seen: [R, 1, 1, C], 0 where a slot has a key, minus infinity elsewhere. depths: [R, 1, 1, C], positions of the keys.
    shared: pieces with the rows ``[start, end)`` that share them.
    """

    def __init__(
        self, keys: list[torch.Tensor], values: list[torch.Tensor], slots: torch.Tensor, places: list[int], positions: torch.Tensor,
        seen: torch.Tensor, depths: torch.Tensor, shared: list[tuple[Piece, int, int]],
    ) -> None:  # fmt: skip
        self._keys, self._values, self._slots, self._positions = keys, values, slots, positions
        self._seen, self._depths, self._shared = seen, depths, shared
        self._places = torch.tensor(places, device=slots.device)
        self._plans: dict[int, tuple[torch.Tensor, list[_SharedRun]]] = {}
        self.windows: list[int] = []

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: LayerRule) -> torch.Tensor:
        layer = len(self.windows)
        self.windows.append(rule.window)
        if rule.window not in self._plans:
            self._plans[rule.window] = self._plan(rule.window)
        seen, shared = self._plans[rule.window]
        keys, values, width = self._keys[layer], self._values[layer], seen.shape[3]
        keys[self._slots, :, self._places] = key[0].transpose(0, 1)
        values[self._slots, :, self._places] = value[0].transpose(0, 1)
        query_nHD = query[0].transpose(0, 1)
        query_RHD = query.new_zeros(len(keys), *query_nHD.shape[1:]).index_copy_(0, self._slots, query_nHD)
        out, lse = attend(query_RHD[:, :, None], keys[:, :, :width], values[:, :, :width], rule, seen)
        own: Part = out[self._slots, :, 0].transpose(0, 1)[None], lse[self._slots, :, 0].transpose(0, 1)[None]
        for piece, start, end, bias in shared:
            stored = piece.stored
            more = attend(query[:, :, start:end], piece.of(stored.keys, layer), piece.of(stored.values, layer), rule, bias)
            merge((own[0][:, :, start:end], own[1][:, :, start:end]), more)
        return rule.add_sinks(*own).transpose(1, 2)

    def _plan(self, window: int) -> tuple[torch.Tensor, list[_SharedRun]]:
        """Return ``seen`` without the keys outside of the window, and what is left of the shared pieces."""
        positions = self._positions.tolist()
        if max(positions) < window:
            return self._seen, [(*run, None) for run in self._shared]
        # A slot without a row keeps its keys: their softmax must have at least one.
        newest = self._depths.new_zeros(len(self._seen)).index_copy_(0, self._slots, self._positions)
        far = newest[:, None, None, None] - self._depths >= window
        return self._seen.masked_fill(far, float("-inf")), [
            narrow for run in self._shared for narrow in _narrow_run(*run, positions, window, self._seen)
        ]


_SharedRun = tuple[Piece, int, int, torch.Tensor | None]
"""A piece, the rows ``[start, end)`` that attend to it, and a bias for those that see a part of it."""


def _narrow_run(piece: Piece, start: int, end: int, positions: Sequence[int], window: int, like: torch.Tensor) -> Iterator[_SharedRun]:
    """Yield the rows of a run that see a key of the piece, adjacent ones together."""
    last = piece.depth + piece.end - piece.start - 1
    for sees, group in groupby(range(start, end), key=lambda at: positions[at] - last < window):
        rows = list(group)
        if not sees:
            continue
        first = max(piece.depth, min(positions[at] for at in rows) - window + 1)
        depths = torch.arange(first, last + 1, device=like.device)
        near = torch.tensor([positions[at] for at in rows], device=like.device)[:, None] - depths < window
        bias = None if bool(near.all()) else make_bias(near[None, None], like)
        yield replace(piece, start=piece.start + first - piece.depth, depth=first), rows[0], rows[-1] + 1, bias


def _split_at_branches(reads: Sequence[Sequence[Piece]]) -> list[list[Piece]]:
    """Split pieces wherever rows branch, so that any two pieces are equal or disjoint."""
    cuts: dict[int, set[int]] = {}
    for pieces in reads:
        for piece in pieces:
            cuts.setdefault(id(piece.stored), set()).update((piece.start, piece.end))
    return [
        [
            replace(piece, start=a, end=b, depth=piece.depth + a - piece.start)
            for piece in pieces
            for a, b in _find_gaps(piece, sorted(cuts[id(piece.stored)]))
        ]
        for pieces in reads
    ]


def _find_gaps(piece: Piece, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    inside = [cut for cut in cuts if piece.start <= cut <= piece.end]
    return pairwise(inside)
