"""The words a person reads, with their places in the text: what attributions are gathered to."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+(?:['’\-]\w+)*|[^\w\s]")
Spans = tuple[tuple[int, int], ...]


def word_spans(text: str, /) -> Spans:
    """(start, end) of each word; a punctuation mark is a word of its own, an apostrophe or hyphen inside a word is not."""
    return tuple(match.span() for match in _WORD.finditer(text))


def gather(values: NDArray[np.floating], token_spans: Sequence[tuple[int, int]], words: Spans, /) -> NDArray[np.float32]:
    """Token values [L] to word values [W]: each token adds to the words it touches, shared by the characters it has in each.

    Special tokens have the span (0, 0) and add to none.
    """
    out = np.zeros(len(words), dtype=np.float64)
    for value, (start, end) in zip(values, token_spans, strict=True):
        shares = [(w, min(end, stop) - max(start, begin)) for w, (begin, stop) in enumerate(words) if begin < end and start < stop]
        total = sum(n for _, n in shares)
        for w, n in shares:
            out[w] += float(value) * n / total
    return out.astype(np.float32)
