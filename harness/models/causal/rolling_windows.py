"""Windows over a text that is longer than the model's context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def split_windows(start: Sequence[int], ids: Sequence[int], max_length: int, min_context: int) -> Iterator[tuple[list[int], int]]:
    """Yield (window, num_scored), so that every id is scored exactly once, given up to ``max_length`` ids before it.

    A window has at most ``max_length + 1`` ids, the last of which is only predicted. The first begins with ``start``.
    Each later one has at least ``min_context`` ids of context, and the last is shifted back to fill the whole window.

        max_length 4, min_context 1, start S, ids 0..8

        S 0 1 2 [3]    scores 0 1 2 3
        3 4 5 6 [7]    scores 4 5 6 7
        4 5 6 7 [8]    scores 8
    """
    if not 1 <= min_context <= max_length:
        raise ValueError(f"min_context must be between 1 and the model's {max_length:,} positions, not {min_context}")
    whole = [*start[-1:], *ids]
    scored = min(max_length, len(ids))
    yield whole[: scored + 1], scored
    step = max_length - min_context + 1
    while scored < len(ids):
        more = min(step, len(ids) - scored)
        scored += more
        yield whole[scored - max_length : scored + 1], more
