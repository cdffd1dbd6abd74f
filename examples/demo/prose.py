"""Load the demo's prose: short texts, written for this project, about a harbour town where people build things that fly and float."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_FOLDER = Path(__file__).parent / "data"
_CONTEXT_WORDS = 25
_STRIDE = 12


def read_paragraphs(split: str) -> list[str]:
    """Read the paragraphs of the split ``train`` or ``test``."""
    return [p.strip() for p in (_FOLDER / f"prose_{split}.txt").read_text(encoding="utf-8").split("\n\n") if p.strip()]


def held_out() -> Iterator[dict[str, str]]:
    """Return one row per paragraph of the test split."""
    return ({"text": paragraph} for paragraph in read_paragraphs("test"))


def next_words() -> Iterator[dict[str, str]]:
    """Yield ``prompt``, 25 words of a test paragraph, and ``word``, the next word without punctuation."""
    for paragraph in read_paragraphs("test"):
        words = paragraph.split(" ")
        for end in range(_CONTEXT_WORDS, len(words), _STRIDE):
            word = words[end].strip(".,;:!?\"'()")
            if word.isalpha():
                yield {"prompt": " ".join(words[end - _CONTEXT_WORDS : end]), "word": word}
