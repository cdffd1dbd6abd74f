"""A trie over the token ids of many sequences, cut into packs, so that common prefixes are computed once.

Sequences sorted by their ids are the leaves of a trie in depth-first order: each adds the tokens that it does not share
with the previous one to a row. The row is cut into packs of about equal size. The tokens of a pack attend to tokens
outside of it only along one path, from the root to the first token of the pack. This path is the only state that is
passed from pack to pack.

    sequences   a b c d        row     a b c d | e f | g          path of the second pack: a b
                a b e f        depth   0 1 2 3   2 3   0
                g              pack    └──── 0 ─┘ └── 1 ─┘
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Segment = tuple[int, int, int]
"""(start, end, depth of the first token): tokens of a row of which each follows the previous one in its sequence."""

_Stack = list[tuple[int, int, int]]
"""Pieces of the path from the root to a token: (lowest depth, depth after the highest, key index of the lowest)."""

_NEAR = 32
"""Maximum distance in tokens of positions that are read from one row, because logits are kept from the first to the last."""

_BLOCK = 64
"""Neighbouring segments of up to this many tokens share one masked call, which is cheaper than a call per segment."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Token ids whose last ``num_scored`` are scored, given all before them. The very last is only predicted, never input.

    ids      t0 t1 t2 t3 t4        num_scored 2
    read     t0 t1 t2 t3
    targets           t3 t4        t4 is predicted at t3
    """

    ids: list[int]
    num_scored: int
    num_truncated: int = 0


@dataclass(frozen=True, slots=True)
class Attend:
    """Queries ``[q0, q1)`` of the pack attend to keys ``[k0, k1)``; keys are numbered through the path, then the pack.

    mask_QK: True where a query sees a key; None for all. causal: each query sees the keys up to itself.
    """

    q0: int
    q1: int
    k0: int
    k1: int
    causal: bool = False
    mask_QK: Bools | None = None


@dataclass(frozen=True, slots=True)
class Pack:
    """One pass: T tokens, P tokens of the path before them, S scored rows, N (row, target) pairs.

    own: attention of tokens to their neighbours; covers every token once.
    others: attention to further keys, to be merged.
    next_path: indices of the keys that form the path of the next pack.
    pair_owner_N: sequence of each pair; the pairs of a row are adjacent.
    segments: relative to the start of the pack.
    """

    ids_T: Ints
    positions_T: Ints
    path_length: int
    own: tuple[Attend, ...]
    others: tuple[Attend, ...]
    next_path: Ints
    rows_S: Ints
    pair_row_N: Ints
    pair_target_N: Ints
    pair_owner_N: Ints
    segments: tuple[Segment, ...]

    @property
    def num_keys(self) -> int:
        return self.path_length + len(self.ids_T)

    def ancestry(self, at: int, /) -> list[tuple[int, int]]:
        """Return the key ranges ``[k0, k1)`` from the root to token ``at`` of the pack, inclusive."""
        stack = _make_root(self.path_length)
        for a, b, depth in self.segments:
            stack = _follow_path(stack, depth)
            stack.append((depth, depth + min(b, at + 1) - a, self.path_length + a))
            if at < b:
                break
        return [(k, k + hi - lo) for lo, hi, k in stack]

    def mask(self) -> Bools:
        """Return which keys each token sees, bool [T, P + T]."""
        mask_QK = np.zeros((len(self.ids_T), self.num_keys), dtype=bool)
        for a in (*self.own, *self.others):
            size = a.q1 - a.q0
            mask_QK[a.q0 : a.q1, a.k0 : a.k1] = a.mask_QK if a.mask_QK is not None else np.tri(size, dtype=bool) if a.causal else True
        return mask_QK


@dataclass(slots=True)
class _Row:
    """The depth-first row of tokens, and its scored positions."""

    ids: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)
    """Indices in the row at which a sequence branches off the previous one."""
    pair_at: list[int] = field(default_factory=list)
    pair_target: list[int] = field(default_factory=list)
    pair_owner: list[int] = field(default_factory=list)


def count_common(first: Sequence[int], second: Sequence[int], /) -> int:
    """Return the length of the longest common prefix."""
    return next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))


def group_shared_rows(sequences: Sequence[Scored], /) -> list[list[int]]:
    """Group sequences whose input is a prefix of another's of nearly the same length, so that they share a row.

    Returns indices by row, the longest sequence first.

        a b c [A]    a b c [B]    a b c d [e]        a b c d
                                                         A   B at c, e at d
    """
    rows: list[list[int]] = []
    # In sorted order, a prefix is next to its extensions.
    for i in sorted(range(len(sequences)), key=lambda i: sequences[i].ids[:-1], reverse=True):
        read = sequences[i].ids[:-1]
        longest = sequences[rows[-1][0]].ids if rows else []
        if rows and longest[: len(read)] == read and len(longest) - 1 - len(read) <= _NEAR:
            rows[-1].append(i)
        else:
            rows.append([i])
    return rows


def make_packs(sequences: Sequence[Scored], tokens: int, /) -> Iterator[Pack]:
    """Yield packs of at most ``tokens`` tokens in which each distinct token occurs once. Run the packs in this order."""
    row = _make_row(sequences)
    num = len(row.ids)
    if not num:
        return
    size = -(-num // -(-num // tokens))
    ids, depths = np.asarray(row.ids), np.asarray(row.depths)
    order = np.argsort(np.asarray(row.pair_at), kind="stable")
    pair_at, pair_target, pair_owner = (np.asarray(column)[order] for column in (row.pair_at, row.pair_target, row.pair_owner))
    branches = np.asarray(row.branches)
    path_length = 0
    for start in range(0, num, size):
        end = min(num, start + size)
        inner = branches[np.searchsorted(branches, start, "right") : np.searchsorted(branches, end)]
        edges = [start, *inner.tolist(), end]
        segments = tuple((a - start, b - start, int(depths[a])) for a, b in pairwise(edges))
        own, others, stack = plan_attention(segments, path_length)
        # The next pack sees only the path to its first token.
        wanted = int(depths[end]) if end < num else 0
        next_path = np.concatenate([np.zeros(0, np.int64), *(np.arange(k, k + hi - lo) for lo, hi, k in _follow_path(stack, wanted))])
        low, high = np.searchsorted(pair_at, (start, end))
        rows, pair_row = np.unique(pair_at[low:high] - start, return_inverse=True)
        yield Pack(
            ids[start:end], depths[start:end], path_length, own, others, next_path,
            rows, pair_row.reshape(-1), pair_target[low:high], pair_owner[low:high], segments,
        )  # fmt: skip
        path_length = wanted


def _make_row(sequences: Sequence[Scored]) -> _Row:
    row = _Row()
    read = [sequence.ids[:-1] for sequence in sequences]
    before: list[int] = []
    path: list[int] = []
    for owner in sorted(range(len(read)), key=read.__getitem__):
        ids, num_scored = read[owner], sequences[owner].num_scored
        shared = count_common(before, ids)
        if shared < len(ids):
            if row.ids:
                row.branches.append(len(row.ids))
            path[shared:] = range(len(row.ids), len(row.ids) + len(ids) - shared)
            row.ids += ids[shared:]
            row.depths += range(shared, len(ids))
            before = ids
        row.pair_at += path[len(ids) - num_scored : len(ids)]
        row.pair_target += sequences[owner].ids[-num_scored:]
        row.pair_owner += [owner] * num_scored
    return row


def _make_root(path_length: int) -> _Stack:
    return [(0, path_length, 0)] if path_length else []


def _follow_path(stack: _Stack, depth: int) -> _Stack:
    """Return the path to a token at this depth; deeper pieces belong to a branch that was left."""
    return [(lo, min(hi, depth), k) for lo, hi, k in stack if lo < depth]


def plan_attention(segments: Sequence[Segment], path_length: int) -> tuple[tuple[Attend, ...], tuple[Attend, ...], _Stack]:
    """Return the attention within and outside of the blocks of a pack, and the path from the root to its last token."""
    stack = _make_root(path_length)
    own: list[Attend] = []
    others: list[Attend] = []
    latest: dict[tuple[int, int], int] = {}
    for block in _split_blocks(segments):
        q0, q1 = block[0][0], block[-1][1]
        k0 = path_length + q0
        mask_QK = np.zeros((q1 - q0, q1 - q0), dtype=bool) if len(block) > 1 else None
        for a, b, depth in block:
            stack = _follow_path(stack, depth)
            for lo, hi, k in stack:
                if k >= k0 and mask_QK is not None:
                    mask_QK[a - q0 : b - q0, k - k0 : k - k0 + hi - lo] = True
                    continue
                keys, index = (k, k + hi - lo), latest.get((k, k + hi - lo))
                if index is not None and others[index].q1 == a:
                    # Adjacent queries that see the same keys share a call.
                    others[index] = Attend(others[index].q0, b, *keys)
                else:
                    latest[keys] = len(others)
                    others.append(Attend(a, b, *keys))
            if mask_QK is not None:
                mask_QK[a - q0 : b - q0, a - q0 : b - q0] = np.tri(b - a, dtype=bool)
            stack.append((depth, depth + b - a, path_length + a))
        own.append(Attend(q0, q1, k0, path_length + q1, causal=mask_QK is None, mask_QK=mask_QK))
    return tuple(own), tuple(others), stack


def _split_blocks(segments: Sequence[Segment]) -> list[list[Segment]]:
    blocks: list[list[Segment]] = []
    for segment in segments:
        if blocks and segment[1] - blocks[-1][0][0] <= _BLOCK:
            blocks[-1].append(segment)
        else:
            blocks.append([segment])
    return blocks
