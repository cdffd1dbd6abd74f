"""Choices under letters: write them after a question, and read the letter from an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

_LONE = re.compile(r"[\s\W]*([A-Za-z])[\s\W]*")
_FIRST = re.compile(r"[\s\W]*([A-Z])(?![\w'])")
_NAMED = re.compile(r"\b(?:answer|choice|option)\b[^A-Z]{0,20}?\b([A-Z])(?![\w'])")
_ALONE = re.compile(r"(?<![\w'])([A-Z])(?![\w'])")


def write_letters(question: str, choices: Sequence[str]) -> str:
    """Write a question with its choices under letters. Choices that are letters themselves are listed in the question already.

    >>> print(write_letters("Which is an animal?", ["a cat", "a car"]))
    Which is an animal?
    A. a cat
    B. a car
    Answer with the letter only.
    Answer:
    """
    if [choice.strip() for choice in choices] == list(ascii_uppercase[: len(choices)]):
        return question
    listed = "".join(f"\n{letter}. {choice.strip()}" for letter, choice in zip(ascii_uppercase, choices, strict=False))
    return f"{question.rstrip()}{listed}\nAnswer with the letter only.\nAnswer:"


def read_letter(text: str, num: int) -> int | None:
    """Return the index of the letter in an answer; None if it has none, or several and no word tells which.

    >>> [read_letter(text, 4) for text in ("b)", "**D**. Because", "The answer is C.", "A cat, so B", "A or B", "I am not sure")]
    [1, 3, 2, None, None, None]
    """
    letters = ascii_uppercase[:num]
    if (lone := _LONE.fullmatch(text)) and lone[1].upper() in letters:
        return letters.index(lone[1].upper())
    if (first := _FIRST.match(text)) and first[1] in letters and not text.strip().startswith(("I ", "A ")):
        return letters.index(first[1])
    named = [letter for letter in _NAMED.findall(text) if letter in letters]
    if named:
        return letters.index(named[-1])
    alone = {letter for letter in _ALONE.findall(text) if letter in letters} - {"I"}
    return letters.index(alone.pop()) if len(alone) == 1 else None
