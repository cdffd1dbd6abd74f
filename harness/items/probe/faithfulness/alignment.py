"""Align the parts of an input with those of its adversarial twin, to compare their attributions."""

from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from ....modalities.base import find_modality
from ....modalities.inputs import Input, get_shape
from ....modalities.words import Spans, split_spans

Places = NDArray[np.intp]


def align_parts(before: Input, before_spans: Spans, after: Input, after_spans: Spans, /) -> tuple[Places, Places]:
    """Return the indices of the parts of ``before`` that have a counterpart, and the indices of the counterparts.

    before, after: the input and its twin.
    before_spans, after_spans: (start, end) of each word, for texts.

    Words are aligned by position if both texts have the same number of words. Otherwise unchanged words are matched in
    order (`difflib`), and a run of replaced words is matched to a run of the same length. Each text of a pair is
    aligned separately. Other parts are aligned by position; inputs of different shapes have no parts in common.
    """
    known = find_modality(before)
    if known is None or not known.part_kind or find_modality(after) is not known:
        return _join_places(np.arange(0))
    if known.part_kind != "words":
        first, second = known.parts(before), known.parts(after)
        return _join_places(np.arange(np.prod(get_shape(first)) if get_shape(first) == get_shape(second) else 0))
    old, new = known.texts(before), known.texts(after)
    found, at, at_new = [], 0, 0
    for one, own, other, others in zip(old, split_spans(old, before_spans), new, split_spans(new, after_spans), strict=True):
        places, new_places = _align_words(one, own, other, others)
        found.append((places + at, new_places + at_new))
        at, at_new = at + len(own), at_new + len(others)
    return np.concatenate([places for places, _ in found]), np.concatenate([places for _, places in found])


def _join_places(places: Places) -> tuple[Places, Places]:
    return places, places


def _align_words(before: str, before_spans: Spans, after: str, after_spans: Spans) -> tuple[Places, Places]:
    """Align the words of two texts; see `align_parts`."""
    if len(before_spans) == len(after_spans):
        return _join_places(np.arange(len(before_spans)))
    one, two = ([text[a:b].casefold() for a, b in spans] for text, spans in ((before, before_spans), (after, after_spans)))
    pairs = [
        (i, j)
        for _, a, b, c, d in SequenceMatcher(None, one, two, autojunk=False).get_opcodes()
        if b - a == d - c
        for i, j in zip(range(a, b), range(c, d), strict=True)
    ]
    found: Places = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return found[:, 0], found[:, 1]
