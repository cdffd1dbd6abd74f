"""What a model can be shown: text, a text pair, a chat, an image, audio, or a value of a plugin's own `Modality`.

All are immutable and compared by content. Text is a plain ``str``. Pixels are ``[H, W, C]``: ``uint8`` in 0..255 as they come from a file,
or ``float32`` in [0, 1] once a model's own resizing is done (see `Differentiable`), which is the space attacks work in.
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
    """A rough number of positions, enough to sort and pack by; of a value without a modality, that of its text."""
    known = modality_of(value)
    return known.size(value) if known is not None else size_of(str(value))


def modality(value: object, /) -> str:
    """The name of the value's modality: the capability a model needs to take it."""
    return known_modality(value).name


def texts_of(value: object, /) -> tuple[str, ...]:
    """Return the texts that the value consists of: one of a text, two of a pair; none of anything else."""
    known = modality_of(value)
    return () if known is None else known.texts(value)


def parts_of(value: object, /) -> Parts:
    """Return what an attribution of the value is about, in order (`Modality.parts`)."""
    return known_modality(value).parts(value)


def shape_of(parts: Parts, /) -> tuple[int, ...]:
    """Return the shape of an attribution's values: that of an array of parts, or how many there are."""
    return parts.shape if isinstance(parts, np.ndarray) else (len(parts),)


def has_parts(value: object, /) -> bool:
    """Return whether an attribution can be about the value."""
    known = modality_of(value)
    return known is not None and bool(known.part_kind)
