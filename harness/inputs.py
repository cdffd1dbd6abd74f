"""What a model can be shown: text, a text pair, a chat, an image, audio. All are immutable and compared by content.

Text is a plain ``str``. Pixels are ``[H, W, C]``: ``uint8`` in 0..255 as they come from a file, or ``float32`` in [0, 1] once a
model's own resizing is done (see `Differentiable`), which is the space attacks work in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TextPair:
    """Two texts judged together, e.g. premise and hypothesis."""

    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation; the model's own chat template turns it into a prompt. A last message of the role ``assistant`` is an answer that
    is begun: the model goes on from there."""

    messages: tuple[Message, ...]


class _Array:
    """An array that is compared and hashed by content, so that it can stand in a request and in a cache key."""

    def __init__(self, values: NDArray[np.generic]) -> None:
        # Always a copy: the caller may go on writing into its own array, and must not find it frozen either.
        values = np.array(values, order="C", copy=True)
        values.setflags(write=False)
        self._values = values

    @cached_property
    def digest(self) -> str:
        """SHA-256 over type, shape and bytes."""
        head = f"{type(self).__name__} {self._values.dtype.str} {self._values.shape} ".encode()
        return hashlib.sha256(head + self._values.tobytes()).hexdigest()

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickling forgets that an array must not be written to.
        state["_values"].setflags(write=False)
        self.__dict__.update(state)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values.shape}, {self._values.dtype}, {self.digest[:8]})"


class Image(_Array):
    """An image. ``pixels`` is [H, W, C], uint8 in 0..255 or float32 in [0, 1]; a grey [H, W] gets one channel.

    Other integers count as uint8, other floats as float32; a value outside the range is an error, for it is another scale.
    """

    def __init__(self, pixels: NDArray[np.generic]) -> None:
        pixels = np.asarray(pixels)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
            raise ValueError(f"an image is [H, W, C] with 1, 3 or 4 channels, got shape {pixels.shape}")
        super().__init__(_scaled(pixels))

    @property
    def pixels(self) -> NDArray[np.generic]:
        return self._values


def _scaled(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    if pixels.dtype == np.uint8:
        return pixels
    kind, low, high = pixels.dtype.kind, pixels.min(), pixels.max()
    if kind in "iu" and low >= 0 and high <= 255:
        return pixels.astype(np.uint8)
    # NaN fails both comparisons. The slack is float32's rounding in a resize or a projection.
    if kind in "bf" and low >= -1e-4 and high <= 1 + 1e-4:
        return pixels.astype(np.float32)
    raise ValueError(f"pixels are uint8 in 0..255 or floats in [0, 1], got {pixels.dtype} in {low}..{high}")


class Audio(_Array):
    """A waveform. ``samples`` is float32 [T] in [-1, 1]; ``rate`` in Hz."""

    def __init__(self, samples: NDArray[np.generic], rate: int) -> None:
        super().__init__(np.asarray(samples, dtype=np.float32))
        self.rate = rate

    @property
    def samples(self) -> NDArray[np.generic]:
        return self._values

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.rate} {hashlib.sha256(self._values.tobytes()).hexdigest()}".encode()).hexdigest()


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
