"""Prose written for this project: days in a harbour town where people build and test things that fly and float."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_FOLDER = Path(__file__).parent / "data"
_CONTEXT_WORDS = 25
_STRIDE = 12


def paragraphs(split: str) -> list[str]:
    """``train`` or ``test``."""
    return [p.strip() for p in (_FOLDER / f"prose_{split}.txt").read_text(encoding="utf-8").split("\n\n") if p.strip()]


def held_out() -> Iterator[dict[str, str]]:
    """A row a paragraph that the model has not seen."""
    return ({"text": paragraph} for paragraph in paragraphs("test"))


def next_words() -> Iterator[dict[str, str]]:
    """``prompt``: 25 words of an unseen paragraph; ``word``: the next one, without punctuation."""
    for paragraph in paragraphs("test"):
        words = paragraph.split(" ")
        for end in range(_CONTEXT_WORDS, len(words), _STRIDE):
            bare = words[end].strip(".,;:!?\"'()")
            if bare.isalpha():
                yield {"prompt": " ".join(words[end - _CONTEXT_WORDS : end]), "word": bare}
