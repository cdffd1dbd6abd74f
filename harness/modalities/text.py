"""The modalities of texts, plain ``str``, and of text pairs. Their parts are words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .base import Modality, Shown

CHARACTERS = 4
"""Characters per position, a typical length of a token."""


def estimate_tokens(text: str, /) -> int:
    """Return the approximate number of tokens of a text, at least 1."""
    return max(1, len(text) // CHARACTERS)


class TextModality(Modality[str]):
    """The modality of texts, with one position per four characters."""

    name = "text"
    type = str
    part_kind = "words"
    ways = ("cut",)

    def size(self, value: str, /) -> int:
        return estimate_tokens(value)

    def preview(self, value: str, /) -> Shown:
        return Shown(self.name, text=value)

    def texts(self, value: str, /) -> tuple[str]:
        return (value,)

    def with_texts(self, value: str, texts: Sequence[str], /) -> str:
        (text,) = texts
        return text


@dataclass(frozen=True, slots=True)
class TextPair:
    """Two texts that are classified together, e.g. premise and hypothesis.

    first, second: the texts in the order in which the model reads them.
    """

    first: str
    second: str


class TextPairModality(Modality[TextPair]):
    """The modality of text pairs. A model reads the texts one after the other."""

    name = "pair"
    type = TextPair
    part_kind = "words"
    ways = ("cut",)

    def size(self, value: TextPair, /) -> int:
        return estimate_tokens(value.first) + estimate_tokens(value.second)

    def preview(self, value: TextPair, /) -> Shown:
        return Shown(self.name, parts=(("first", value.first), ("second", value.second)))

    def texts(self, value: TextPair, /) -> tuple[str, str]:
        return value.first, value.second

    def with_texts(self, value: TextPair, texts: Sequence[str], /) -> TextPair:
        return TextPair(*texts)

    def bare(self, value: TextPair, /) -> tuple[str, str]:
        return self.texts(value)
