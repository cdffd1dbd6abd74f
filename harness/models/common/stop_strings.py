"""Stop strings of generated text."""

from __future__ import annotations

from collections.abc import Iterable


def cut(text: str, stops: Iterable[str], /) -> str:
    """Return the text before the first stop string. Empty stop strings are ignored.

    >>> cut("Paris.\\nQ: and", ["Q:", "\\n"])
    'Paris.'
    """
    starts = [start for start in (text.find(stop) for stop in stops if stop) if start >= 0]
    return text[: min(starts)] if starts else text
