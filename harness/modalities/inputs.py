"""Model inputs: a text, a text pair, a chat, an image, audio, or a value of a plugin's `Modality`.

All inputs are immutable and compared by content. A text is a plain ``str``. Pixels are ``[H, W, C]``: ``uint8`` in
0..255 as in a file, or ``float32`` in [0, 1] after the model's resizing (see `Differentiable`), where attacks work.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from .audio import Audio
from .base import Parts, find_modality, require_modality
from .chat import Chat
from .image import Image
from .text import TextPair

Input: TypeAlias = str | TextPair | Chat | Image | Audio


def measure_size(value: object, /) -> int:
    """Return the approximate number of positions of a value in a model, for sorting and batching.

    A value without a modality has the size of its ``str``.
    """
    known = find_modality(value)
    return known.size(value) if known is not None else measure_size(str(value))


def name_modality(value: object, /) -> str:
    """Return the name of the value's modality, the capability that a model needs. Raises `TypeError` if it has none."""
    return require_modality(value).name


def list_texts(value: object, /) -> tuple[str, ...]:
    """Return the texts of the value: one for a text, two for a pair; empty unless it consists of texts only."""
    known = find_modality(value)
    return () if known is None else known.texts(value)


def list_parts(value: object, /) -> Parts:
    """Return the parts of the value that an attribution has values for, in order (`Modality.parts`)."""
    return require_modality(value).parts(value)


def get_shape(parts: Parts, /) -> tuple[int, ...]:
    """Return the shape of an attribution's values: the shape of an array of parts, or the length of a sequence."""
    return parts.shape if isinstance(parts, np.ndarray) else (len(parts),)


def has_parts(value: object, /) -> bool:
    """Return whether the value has parts, so that attributions of it exist."""
    known = find_modality(value)
    return known is not None and bool(known.part_kind)
