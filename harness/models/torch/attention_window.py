"""The attention window of a model."""

from __future__ import annotations

from typing import Any

UNLIMITED = 2**62
"""The window of a model without one."""


def find_window(config: Any, /) -> int:
    """Return the number of tokens up to which sliding or chunked attention sees all of them; else `UNLIMITED`."""
    text = config.get_text_config()
    names = ("sliding_window", "attention_chunk_size", "attention_window_size", "window_size", "local_attention")
    sizes = [getattr(text, name, None) for name in names]
    return min((size for size in sizes if isinstance(size, int) and size > 0), default=UNLIMITED)
