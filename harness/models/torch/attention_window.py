"""The attention window of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

UNLIMITED = 2**62
"""The window of a model without one."""


def find_window(config: Any, /) -> int:
    """Return the number of tokens up to which sliding or chunked attention sees all of them; else `UNLIMITED`."""
    text = config.get_text_config()
    names = ("sliding_window", "attention_chunk_size", "attention_window_size", "window_size", "local_attention")
    sizes = [getattr(text, name, None) for name in names]
    return min((size for size in sizes if isinstance(size, int) and size > 0), default=UNLIMITED)


@contextmanager
def narrow_window(module: Any, size: int, /) -> Iterator[None]:
    """Give a module's layers with a sliding window one of ``size`` tokens in the body, if they read it from where most models do."""
    text = module.config.get_text_config()
    holders = [part for part in (text, *module.modules()) if isinstance(getattr(part, "sliding_window", None), int)]
    before = [holder.sliding_window for holder in holders]
    try:
        for holder in holders:
            holder.sliding_window = size
        yield
    finally:
        for holder, window in zip(holders, before, strict=True):
            holder.sliding_window = window
