"""A pair of texts. A single text is a plain ``str``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextPair:
    """Two texts judged together, e.g. premise and hypothesis."""

    first: str
    second: str
