"""An image: pixels ``[H, W, C]``, uint8 in 0..255 as in a file, or float32 in [0, 1] after a model's own resizing."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .array import ContentArray
from .base import Modality, Shown

PIXELS = 64
"""Of an image, a position: a convolutional network keeps about as much of them for its gradients (120 kB) as a transformer
of a token. A pass of large images then holds few of them, on a CPU five of 224 x 224 pixels: memory beyond what the process
keeps is given anew by the system in every pass, which takes up to twice the time, and larger passes save little."""
_SMALLEST_SHOWN_PX = 96
_LARGEST_SHOWN_PX = 512
"""A thousand photographs of 12 megapixels would be a page of 20 GB."""


class Image(ContentArray):
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


def positions_of(height: int, width: int, /) -> int:
    """Of an image of so many pixels."""
    return max(1, height * width // PIXELS)


class ImageModality(Modality[Image]):
    """An image, 64 pixels a position."""

    name = "image"
    type = Image

    def size(self, value: Image, /) -> int:
        return positions_of(*value.pixels.shape[:2])

    def preview(self, value: Image, /) -> Shown:
        return Shown(self.name, image=png_uri(value))

    def to_json(self, value: Image, /) -> Any:
        return value.pixels

    def from_json(self, facts: Any, /) -> Image:
        return Image(facts)


def png_uri(image: Image, /) -> str:
    """A PNG data URI, or an empty text where there is no pixel.

    Small images are enlarged by whole factors without smoothing, so that a pixel stays a square; large ones are made smaller.
    """
    from PIL import Image as Pillow

    pixels = np.asarray(image.pixels)
    if not pixels.size:
        return ""
    if pixels.dtype != np.uint8:
        pixels = (np.nan_to_num(pixels).clip(0, 1) * 255).round().astype(np.uint8)
    factor = max(1, -(-_SMALLEST_SHOWN_PX // max(pixels.shape[:2])))
    enlarged = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    made = Pillow.fromarray(enlarged[:, :, 0] if enlarged.shape[2] == 1 else enlarged)
    made.thumbnail((_LARGEST_SHOWN_PX, _LARGEST_SHOWN_PX))
    buffer = io.BytesIO()
    made.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
