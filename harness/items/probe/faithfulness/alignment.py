"""Which part of an input is which part of its adversarial twin, so that their attributions can be compared."""

from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from ....modalities.image import Image
from ....modalities.inputs import Input
from ....modalities.text import TextPair
from ....modalities.words import Spans, split_spans

Places = NDArray[np.intp]


def aligned(before: Input, before_spans: Spans, after: Input, after_spans: Spans, /) -> tuple[Places, Places]:
    """Places of the parts of one that have a counterpart in the other, and the places of those.

    Pixels are where they were; images of two shapes have none in common. Words go by their position where both texts have as many. Else
    the words that stay are matched in order (`difflib`), and of those in between the ones that replace as many others. A pair's texts are
    aligned each with its own.
    """
    if isinstance(before, Image) and isinstance(after, Image):
        same = before.pixels.shape[:2] == after.pixels.shape[:2]
        return _both(np.arange(before.pixels.shape[0] * before.pixels.shape[1] if same else 0))
    if isinstance(before, TextPair) and isinstance(after, TextPair):
        (a, b), (c, d) = split_spans(before, before_spans), split_spans(after, after_spans)
        first, second = _words(before.first, a, after.first, c), _words(before.second, b, after.second, d)
        return np.concatenate([first[0], second[0] + len(a)]), np.concatenate([first[1], second[1] + len(c)])
    if isinstance(before, str) and isinstance(after, str):
        return _words(before, before_spans, after, after_spans)
    return _both(np.arange(0))


def _both(places: Places) -> tuple[Places, Places]:
    return places, places


def _words(before: str, before_spans: Spans, after: str, after_spans: Spans) -> tuple[Places, Places]:
    if len(before_spans) == len(after_spans):
        return _both(np.arange(len(before_spans)))
    one, two = ([text[a:b].casefold() for a, b in spans] for text, spans in ((before, before_spans), (after, after_spans)))
    pairs = [
        (i, j)
        for _, a, b, c, d in SequenceMatcher(None, one, two, autojunk=False).get_opcodes()
        if b - a == d - c
        for i, j in zip(range(a, b), range(c, d), strict=True)
    ]
    found: Places = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return found[:, 0], found[:, 1]
