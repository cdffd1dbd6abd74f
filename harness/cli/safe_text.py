"""Text made safe for a terminal: model output, sample ids and plugin names are hostile."""

from __future__ import annotations


def visible(text: str, /) -> str:
    """Control characters, bidirectional overrides and lone surrogates as their escapes; lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
