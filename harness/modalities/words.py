"""The words a person reads, with their places in the text: what attributions are gathered to."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .text import TextPair

# Kana and Han are written without spaces: each character is a word of its own, as BERT's tokenizer has it for Han.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PART = rf"(?:(?![{_UNSPACED}])\w)+"
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_WORD = re.compile(rf"[{_UNSPACED}]|{_PART}(?:['’\-]{_PART})*|{_FLAG}|[^\w\s]")
_JOINER = "\u200d"
_SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
Spans = tuple[tuple[int, int], ...]
MARK = "\ue000\ue001"
"""Of private use, so no text's own: stands in the place of a text, to find what somebody writes around it."""


def word_spans(text: str, /) -> Spans:
    """(start, end) of each word; a punctuation mark is a word of its own, an apostrophe or hyphen inside a word is not.

    Combining marks (accents, the vowel signs of Hindi or Thai), an emoji's skin tone and what a zero-width joiner joins belong to the word
    before them; a flag's two letters are one word.
    """
    spans: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        if spans and spans[-1][1] == start and _goes_on(text[start - 1], text[start]):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return tuple(spans)


def spans_of(value: str | TextPair, /) -> Spans:
    """The words of a text, or of a pair: its places are those of the two texts with a line break between them."""
    if isinstance(value, str):
        return word_spans(value)
    return (*word_spans(value.first), *in_second(value, word_spans(value.second)))


def in_second(pair: TextPair, spans: Sequence[tuple[int, int]], /) -> Spans:
    """Places in the second text as places in the pair."""
    shift = len(pair.first) + 1
    return tuple((start + shift, end + shift) for start, end in spans)


def split_spans(pair: TextPair, spans: Spans, /) -> tuple[Spans, Spans]:
    """Places in the pair as places in each of its texts."""
    shift = len(pair.first) + 1
    return tuple(s for s in spans if s[0] < shift), tuple((a - shift, b - shift) for a, b in spans if a >= shift)


def within(span: tuple[int, int], start: int, length: int, /) -> tuple[int, int]:
    """A place in a text as a place in its part of so many characters from ``start`` on; (0, 0) where it lies outside of that."""
    first, last = max(span[0] - start, 0), min(span[1] - start, length)
    return (first, last) if first < last else (0, 0)


def _goes_on(before: str, char: str) -> bool:
    if before.isascii() and char.isascii():
        return False
    return _JOINER in (before, char) or char in _SKIN_TONES or _is_mark(char) or (_is_mark(before) and char.isalnum())


def _is_mark(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


def gather(values: NDArray[np.floating], token_spans: Sequence[tuple[int, int]], words: Spans, /) -> NDArray[np.float32]:
    """Token values [L] to word values [W]: each token adds to the words it touches, shared by the characters it has in each.

    ``words`` are in order and apart, as `word_spans` gives them. Special tokens have the span (0, 0) and add to none, as does a token of
    nothing but space, or of nothing at all.
    """
    out = np.zeros(len(words), dtype=np.float64)
    ends = [end for _, end in words]
    for value, (start, end) in zip(values, token_spans, strict=True):
        shares = []
        for word in range(bisect_right(ends, start), len(words)):
            begin, stop = words[word]
            if begin >= end:
                break
            shares.append((word, min(end, stop) - max(start, begin)))
        total = sum(n for _, n in shares)
        for word, n in shares if total > 0 else ():
            out[word] += float(value) * n / total
    return out.astype(np.float32)
