"""Remove parts of an input, chosen by a mask.

The way of removal affects the scores of an attribution, so each modality lists its ways (`Modality.ways`). Words can
also be replaced by the model's mask token.

Shape legend: P parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .base import Parts, require_modality
from .words import change_each, mask_spans

V = TypeVar("V")
Mask = NDArray[np.bool_]
MASK = "mask"
"""The way that replaces each word by the model's mask token."""


def list_ways(value: object, token: str | None, /) -> tuple[str, ...]:
    """Return the ways to remove parts of the value, the default first.

    value: the input.
    token: the model's mask token; None if it has none.
    """
    known = require_modality(value)
    return (*known.ways, MASK) if known.part_kind == "words" and token is not None else known.ways


def remove_parts(value: V, parts: Parts, hidden_P: Mask, way: str, /, token: str = "") -> V:
    """Return the value without its hidden parts.

    value: the input.
    parts: all of its parts.
    hidden_P: true for parts to remove.
    way: one of `list_ways` the value.
    token: mask token, for the way ``mask``.
    """
    return _remove(value, choose_parts(parts, hidden_P), way, token)


def keep_parts(value: V, parts: Parts, shown_P: Mask, way: str, /, token: str = "") -> V:
    """Return the value with only its shown parts (`Modality.only`).

    value: the input.
    parts: all of its parts.
    shown_P: true for parts to keep.
    way: one of `list_ways` the value.
    token: mask token, for the way ``mask``.
    """
    hidden = choose_parts(parts, ~shown_P)
    if way == MASK:
        return _remove(value, hidden, way, token)
    made: V = require_modality(value).only(value, choose_parts(parts, shown_P), hidden, way)
    return made


def choose_parts(parts: Parts, mask_P: Mask, /) -> Parts:
    """Return the parts for which the mask [P] is true, in order."""
    if isinstance(parts, np.ndarray):
        return parts.reshape(-1)[mask_P]
    some: Sequence[Any] = [parts[int(place)] for place in np.flatnonzero(mask_P)]
    return some


def _remove(value: V, parts: Parts, way: str, token: str) -> V:
    """Return the value without these parts."""
    known = require_modality(value)
    made: V
    if way == MASK:
        made = known.with_texts(value, change_each(known.texts(value), parts, partial(_mask, token=token)))
    else:
        made = known.without(value, parts, way)
    return made


def _mask(text: str, spans: Sequence[tuple[int, int]], token: str) -> str:
    """Call `mask_spans`, which takes no keyword arguments."""
    return mask_spans(text, spans, token)
