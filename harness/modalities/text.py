"""Text, a plain ``str``, and a pair of texts."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Modality, Shown

CHARACTERS = 4
"""Of text, a position."""


def text_size(text: str, /) -> int:
    return max(1, len(text) // CHARACTERS)


class TextModality(Modality[str]):
    """A text, four characters a position."""

    name = "text"
    type = str

    def size(self, value: str, /) -> int:
        return text_size(value)

    def preview(self, value: str, /) -> Shown:
        return Shown(self.name, text=value)


@dataclass(frozen=True, slots=True)
class TextPair:
    """Two texts judged together, e.g. premise and hypothesis."""

    first: str
    second: str


class TextPairModality(Modality[TextPair]):
    """Two texts, read one after the other."""

    name = "pair"
    type = TextPair

    def size(self, value: TextPair, /) -> int:
        return text_size(value.first) + text_size(value.second)

    def preview(self, value: TextPair, /) -> Shown:
        return Shown(self.name, parts=(("first", value.first), ("second", value.second)))
