"""Stop strings: where a generated text ends."""

from __future__ import annotations

from collections.abc import Iterable


def cut(text: str, stops: Iterable[str], /) -> str:
    """The text before the first stop string in it. An empty one stops nothing.

    >>> cut("Paris.\\nQ: and", ["Q:", "\\n"])
    'Paris.'
    """
    places = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
    return text[: min(places)] if places else text
