"""What a model can be shown: text, a text pair, a chat, an image, audio. All are immutable and compared by content.

Text is a plain ``str``. Pixels are ``[H, W, C]``: ``uint8`` in 0..255 as they come from a file, or ``float32`` in [0, 1] once a
model's own resizing is done (see `Differentiable`), which is the space attacks work in.
"""

from __future__ import annotations

from typing import TypeAlias

from .audio import Audio
from .chat import Chat
from .image import Image
from .text import TextPair

Input: TypeAlias = str | TextPair | Chat | Image | Audio


PIXELS = 64
"""Of an image, a position: a convolutional network keeps about as much of them for its gradients (120 kB) as a transformer
of a token. A pass of large images then holds few of them, on a CPU five of 224 x 224 pixels: memory beyond what the process
keeps is given anew by the system in every pass, which takes up to twice the time, and larger passes save little."""


CHARACTERS = 4
"""Of text, a position."""


def positions_of(height: int, width: int, /) -> int:
    """Of an image of so many pixels."""
    return max(1, height * width // PIXELS)


def size_of(value: Input, /) -> int:
    """A rough number of positions, enough to sort and pack by: four characters of text, or 64 pixels of an image."""
    if isinstance(value, Image):
        return positions_of(*value.pixels.shape[:2])
    return max(1, len(str(value)) // CHARACTERS)


def modality(value: Input, /) -> str:
    """``text``, ``pair``, ``chat``, ``image`` or ``audio``: the capability a model needs to take this input."""
    names: dict[type, str] = {str: "text", TextPair: "pair", Chat: "chat", Image: "image", Audio: "audio"}
    for kind, name in names.items():
        if isinstance(value, kind):
            return name
    raise TypeError(f"a {type(value).__name__} is no input; inputs are text, TextPair, Chat, Image and Audio")
