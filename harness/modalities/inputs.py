"""Model inputs: a text, a text pair, a chat, an image, audio, or a value of a plugin's `Modality`.

All inputs are immutable and compared by content. A text is a plain ``str``. Pixels are ``[H, W, C]``: ``uint8`` in
0..255 as in a file, or ``float32`` in [0, 1] after the model's resizing (see `Differentiable`), where attacks work.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from .audio import Audio
from .base import Parts, known_modality, modality_of
from .chat import Chat
from .image import Image
from .text import TextPair

Input: TypeAlias = str | TextPair | Chat | Image | Audio


def size_of(value: object, /) -> int:
    """Return the approximate number of positions of a value in a model, for sorting and batching.

    A value without a modality has the size of its ``str``.
    """
    known = modality_of(value)
    return known.size(value) if known is not None else size_of(str(value))


def modality(value: object, /) -> str:
    """Return the name of the value's modality, the capability that a model needs. Raises `TypeError` if it has none."""
    return known_modality(value).name


def texts_of(value: object, /) -> tuple[str, ...]:
    """Return the texts of the value: one for a text, two for a pair; empty unless it consists of texts only."""
    known = modality_of(value)
    return () if known is None else known.texts(value)


def parts_of(value: object, /) -> Parts:
    """Return the parts of the value that an attribution has values for, in order (`Modality.parts`)."""
    return known_modality(value).parts(value)


def shape_of(parts: Parts, /) -> tuple[int, ...]:
    """Return the shape of an attribution's values: the shape of an array of parts, or the length of a sequence."""
    return parts.shape if isinstance(parts, np.ndarray) else (len(parts),)


def has_parts(value: object, /) -> bool:
    """Return whether the value has parts, so that attributions of it exist."""
    known = modality_of(value)
    return known is not None and bool(known.part_kind)
