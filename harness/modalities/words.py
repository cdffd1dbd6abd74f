"""The words a person reads, with their places in the text: what attributions are gathered to."""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

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


# ── several texts: places in them are those in the one text that they are with a line break between them ──────────────────


def spans_in(texts: Sequence[str], /) -> Spans:
    """Return the words of all texts."""
    return tuple(span for number, text in enumerate(texts) for span in in_text(texts, number, word_spans(text)))


def in_text(texts: Sequence[str], number: int, spans: Sequence[tuple[int, int]], /) -> Spans:
    """Return places in the text of this number as places in all texts."""
    shift = sum(len(text) + 1 for text in texts[:number])
    return tuple((start + shift, end + shift) for start, end in spans)


def split_spans(texts: Sequence[str], spans: Sequence[tuple[int, int]], /) -> list[Spans]:
    """Return places in all texts as places in each: a place is in the last text that begins at or before it."""
    found = []
    shift = 0
    for number, text in enumerate(texts):
        end = shift + len(text) + 1 if number + 1 < len(texts) else math.inf
        found.append(tuple((a - shift, b - shift) for a, b in spans if (shift <= a or not number) and a < end))
        shift += len(text) + 1
    return found


def change_each(texts: Sequence[str], spans: Iterable[tuple[int, int]], change: Callable[[str, Spans], str], /) -> list[str]:
    """Return each text changed, given those of the spans that lie in it."""
    return [change(text, own) for text, own in zip(texts, split_spans(texts, tuple(spans)), strict=True)]


# ── a text without some of its words ──────────────────────────────────────────────────────────────────────────────────


def cut_out(text: str, spans: Sequence[tuple[int, int]], /) -> str:
    """Return the text with these spans cut out, in order. Nothing else changes but at the cuts.

    Of the space around a cut, that before it stays; where the cut would join two words, a space comes between them.
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


def masked(text: str, spans: Sequence[tuple[int, int]], token: str, /) -> str:
    """Return the text with the token in the place of each of these spans."""
    made, at = "", 0
    for start, end in spans:
        made, at = made + text[at:start] + token, end
    return made + text[at:]


def joined(text: str, spans: Sequence[tuple[int, int]], /) -> str:
    """Return the text's spans with a space between them."""
    return " ".join(text[start:end] for start, end in spans)


# ── from tokens to words ──────────────────────────────────────────────────────────────────────────────────────────────


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
