"""Text, a plain ``str``, and a pair of texts. Their parts are words."""

from __future__ import annotations

from collections.abc import Sequence
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
    part_kind = "words"
    ways = ("cut",)

    def size(self, value: str, /) -> int:
        return text_size(value)

    def preview(self, value: str, /) -> Shown:
        return Shown(self.name, text=value)

    def texts(self, value: str, /) -> tuple[str]:
        return (value,)

    def with_texts(self, value: str, texts: Sequence[str], /) -> str:
        (text,) = texts
        return text


@dataclass(frozen=True, slots=True)
class TextPair:
    """Two texts judged together, e.g. premise and hypothesis."""

    first: str
    second: str


class TextPairModality(Modality[TextPair]):
    """Two texts, read one after the other."""

    name = "pair"
    type = TextPair
    part_kind = "words"
    ways = ("cut",)

    def size(self, value: TextPair, /) -> int:
        return text_size(value.first) + text_size(value.second)

    def preview(self, value: TextPair, /) -> Shown:
        return Shown(self.name, parts=(("first", value.first), ("second", value.second)))

    def texts(self, value: TextPair, /) -> tuple[str, str]:
        return value.first, value.second

    def with_texts(self, value: TextPair, texts: Sequence[str], /) -> TextPair:
        return TextPair(*texts)

    def bare(self, value: TextPair, /) -> tuple[str, str]:
        return self.texts(value)
