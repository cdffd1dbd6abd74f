"""Split texts into words with their positions, remove words, and sum values of tokens to words."""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

# Kana and Han are written without spaces: each character is a word, as in BERT's tokenizer for Han.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PART = rf"(?:(?![{_UNSPACED}])\w)+"
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_WORD = re.compile(rf"[{_UNSPACED}]|{_PART}(?:['’\-]{_PART})*|{_FLAG}|[^\w\s]")
_JOINER = "\u200d"
_SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
Spans = tuple[tuple[int, int], ...]
MARK = "\ue000\ue001"
"""A placeholder for a text in a template, to find what the template adds around it. Private-use characters do not occur
in texts."""


def word_spans(text: str, /) -> Spans:
    """Return the (start, end) of each word.

    A punctuation mark is a word; an apostrophe or hyphen inside a word is part of the word. Combining marks (accents,
    vowel signs of Hindi or Thai), skin tones of emojis and characters after a zero-width joiner belong to the word
    before them. The two letters of a flag are one word.
    """
    spans: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        if spans and spans[-1][1] == start and _continues_word(text[start - 1], text[start]):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return tuple(spans)


# ── several texts: a span is a position in the texts joined by line breaks ────────────────────────────────────────────


def spans_in(texts: Sequence[str], /) -> Spans:
    """Return the (start, end) of each word of all texts, as positions in the joined texts."""
    return tuple(span for number, text in enumerate(texts) for span in shift_spans(texts, number, word_spans(text)))


def shift_spans(texts: Sequence[str], number: int, spans: Sequence[tuple[int, int]], /) -> Spans:
    """Convert spans in one text to spans in the joined texts.

    texts: all texts.
    number: index of the text.
    spans: (start, end) in that text.
    """
    shift = sum(len(text) + 1 for text in texts[:number])
    return tuple((start + shift, end + shift) for start, end in spans)


def split_spans(texts: Sequence[str], spans: Sequence[tuple[int, int]], /) -> list[Spans]:
    """Convert spans in the joined texts to spans in each text.

    texts: all texts.
    spans: (start, end) in the joined texts. A span belongs to the last text that starts at or before it.
    Returns one tuple of spans per text.
    """
    found = []
    shift = 0
    for number, text in enumerate(texts):
        end = shift + len(text) + 1 if number + 1 < len(texts) else math.inf
        found.append(tuple((a - shift, b - shift) for a, b in spans if (shift <= a or not number) and a < end))
        shift += len(text) + 1
    return found


def change_each(texts: Sequence[str], spans: Iterable[tuple[int, int]], change: Callable[[str, Spans], str], /) -> list[str]:
    """Apply a function to each text and its spans, and return the results.

    texts: all texts.
    spans: (start, end) in the joined texts.
    change: maps a text and its spans to the new text.
    """
    return [change(text, own) for text, own in zip(texts, split_spans(texts, tuple(spans)), strict=True)]


# ── removing words ────────────────────────────────────────────────────────────────────────────────────────────────────


def cut_out(text: str, spans: Sequence[tuple[int, int]], /) -> str:
    """Return the text without these spans. The text away from the cuts does not change.

    Of the whitespace on both sides of a cut, only that before it is kept. If a cut would join two words, a space is
    inserted.

    text: the text.
    spans: (start, end) of the spans to remove, in order.
    """
    made, at = "", 0
    for start, end in [*spans, (len(text), len(text))]:
        piece = text[at:start]
        if at and piece and (not made or made[-1].isspace()):
            piece = piece.lstrip()
        if made and piece and len(word_spans(made[-1] + piece[0])) == 1 and not made[-1].isspace() and not piece[0].isspace():
            piece = " " + piece
        made, at = made + piece, end
    return made.rstrip() if spans and not text[spans[-1][1] :].strip() else made


def mask_spans(text: str, spans: Sequence[tuple[int, int]], token: str, /) -> str:
    """Return the text with each of these spans, in order, replaced by the token."""
    made, at = "", 0
    for start, end in spans:
        made, at = made + text[at:start] + token, end
    return made + text[at:]


def join_spans(text: str, spans: Sequence[tuple[int, int]], /) -> str:
    """Return the text of the spans, joined by spaces."""
    return " ".join(text[start:end] for start, end in spans)


# ── tokens to words ───────────────────────────────────────────────────────────────────────────────────────────────────


def clip_span(span: tuple[int, int], start: int, length: int, /) -> tuple[int, int]:
    """Convert a span in a text to a span in a section of the text, clipped to the section.

    span: (start, end) in the text.
    start: start of the section.
    length: length of the section in characters.
    Returns (0, 0) if the span lies outside of the section.
    """
    first, last = max(span[0] - start, 0), min(span[1] - start, length)
    return (first, last) if first < last else (0, 0)


def _continues_word(before: str, char: str) -> bool:
    """Return whether a character continues the word that ends with the character before it."""
    if before.isascii() and char.isascii():
        return False
    return _JOINER in (before, char) or char in _SKIN_TONES or _is_mark(char) or (_is_mark(before) and char.isalnum())


def _is_mark(char: str) -> bool:
    """Return whether a character is a combining mark."""
    return unicodedata.category(char).startswith("M")


def gather(values: NDArray[np.floating], token_spans: Sequence[tuple[int, int]], words: Spans, /) -> NDArray[np.float32]:
    """Sum token values [L] to word values [W].

    The value of a token is split among the words that it overlaps, in proportion to the number of common characters.
    Special tokens, with the span (0, 0), and tokens that are empty or only whitespace are ignored.

    values: value of each token [L].
    token_spans: (start, end) of each token.
    words: (start, end) of each word, in order and disjoint, as from `word_spans`.
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
