"""What is left of an input without some of its parts, where the parts are told by a mask.

What "removed" means decides what an attribution is measured by, so that a modality says in which ways (`Modality.ways`). Words can be
masked as well, by a token that only the model knows.

Shape legend: P parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .base import Parts, known_modality
from .words import change_each, masked

V = TypeVar("V")
Mask = NDArray[np.bool_]
MASK = "mask"
"""The way of a model's own token in each word's place."""


def ways_of(value: object, token: str | None, /) -> tuple[str, ...]:
    """Return what "removed" can mean for the value, the plainest way first. ``token``: the model's mask; None where it has none."""
    known = known_modality(value)
    return (*known.ways, MASK) if known.part_kind == "words" and token is not None else known.ways


def removed(value: V, parts: Parts, hidden_P: Mask, way: str, /, token: str = "") -> V:
    """Return the value without the hidden ones of its parts. ``token``: what stands in a masked word's place."""
    return _without(value, chosen(parts, hidden_P), way, token)


def alone(value: V, parts: Parts, shown_P: Mask, way: str, /, token: str = "") -> V:
    """Return the value with the shown ones of its parts alone (`Modality.only`)."""
    hidden = chosen(parts, ~shown_P)
    if way == MASK:
        return _without(value, hidden, way, token)
    made: V = known_modality(value).only(value, chosen(parts, shown_P), hidden, way)
    return made


def chosen(parts: Parts, mask_P: Mask, /) -> Parts:
    """Return the parts where the mask is true, in order."""
    if isinstance(parts, np.ndarray):
        return parts.reshape(-1)[mask_P]
    some: Sequence[Any] = [parts[int(place)] for place in np.flatnonzero(mask_P)]
    return some


def _without(value: V, parts: Parts, way: str, token: str) -> V:
    known = known_modality(value)
    made: V
    if way == MASK:
        made = known.with_texts(value, change_each(known.texts(value), parts, partial(_masked, token=token)))
    else:
        made = known.without(value, parts, way)
    return made


def _masked(text: str, spans: Sequence[tuple[int, int]], token: str) -> str:
    return masked(text, spans, token)
