"""What a model can be shown: text, a text pair, a chat, an image, audio, or a value of a plugin's own `Modality`.

All are immutable and compared by content. Text is a plain ``str``. Pixels are ``[H, W, C]``: ``uint8`` in 0..255 as they come from a file,
or ``float32`` in [0, 1] once a model's own resizing is done (see `Differentiable`), which is the space attacks work in.
"""

from __future__ import annotations

from typing import TypeAlias

from .audio import Audio
from .base import modalities, modality_of
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
    known = modality_of(value)
    if known is None:
        names = ", ".join(m.type.__name__ for m in modalities())
        raise TypeError(f"a {type(value).__name__} is no input; inputs are {names}, and those of a `Modality` of your own")
    return known.name
