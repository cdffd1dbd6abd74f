"""The attention of a pack in layers with a sliding window: a token at depth d sees the keys at depths above ``d - window``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .prefix_trie import Attend, Bools, Ints, Pack, Segment, plan_attention

Plan = tuple[tuple[Attend, ...], tuple[Attend, ...]]
"""`Pack.own` and `Pack.others`."""


def plan_window(pack: Pack, window: int, /) -> Plan:
    """Return the attention within and outside of the blocks of a pack, without the pairs outside of the window."""
    if int(pack.positions_T.max()) < window:
        return pack.own, pack.others
    segments = tuple(piece for segment in pack.segments for piece in _split(segment, window))
    own, others, _ = plan_attention(segments, pack.path_length)
    depths = _list_key_depths(pack)
    own_within = tuple(_narrow_own(a, pack.positions_T, window) for a in own)
    return own_within, tuple(narrow for a in others for narrow in _narrow_others(a, segments, depths, window))


def mask_window(pack: Pack, window: int, /) -> Bools:
    """Return which keys each token sees, bool [T, P + T]."""
    return pack.mask() & (pack.positions_T[:, None] - _list_key_depths(pack) < window)


def _list_key_depths(pack: Pack) -> Ints:
    """Return the depth of each key; the path has one token per depth."""
    return np.concatenate([np.arange(pack.path_length), pack.positions_T])


def _split(segment: Segment, window: int) -> Iterator[Segment]:
    """Yield pieces of at most ``window`` tokens, so that few of the computed pairs are masked."""
    start, end, depth = segment
    for at in range(start, end, window):
        yield at, min(end, at + window), depth + at - start


def _narrow_own(attend: Attend, depths_T: Ints, window: int) -> Attend:
    depths = depths_T[attend.q0 : attend.q1]
    near = depths[:, None] - depths < window
    if near.all():
        return attend
    seen = np.tri(len(depths), dtype=bool) if attend.mask_QK is None else attend.mask_QK
    return Attend(attend.q0, attend.q1, attend.k0, attend.k1, mask_QK=seen & near)


def _narrow_others(attend: Attend, segments: tuple[Segment, ...], depths: Ints, window: int) -> Iterator[Attend]:
    """Yield the attention of each segment to the keys that its tokens see. The depths of the keys ``[k0, k1)`` are consecutive."""
    low, high = int(depths[attend.k0]), int(depths[attend.k1 - 1]) + 1
    for start, end, depth in segments:
        if start < attend.q0 or end > attend.q1:
            continue
        # Later tokens are further away, until they see none of the keys.
        num = min(end - start, high - 1 + window - depth)
        first = max(low, depth - window + 1)
        if num > 0:
            near = np.arange(depth, depth + num)[:, None] - np.arange(first, high) < window
            yield Attend(start, start + num, attend.k0 + first - low, attend.k1, mask_QK=None if near.all() else near)
