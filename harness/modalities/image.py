"""The image modality: pixels ``[H, W, C]``, uint8 in 0..255 as in a file, or float32 in [0, 1] after resizing."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .array import ContentArray
from .base import Modality, Parts, Shown

PIXELS = 64
"""Pixels per position. A convolutional network stores about as much for the gradients of 64 pixels (120 kB) as a
transformer for a token. A pass then holds few large images, on a CPU five of 224 x 224 pixels. Larger passes save
little: the system allocates memory beyond what the process keeps in every pass again, which takes up to twice the time.
"""
_BLUR = 1 / 16
"""Standard deviation of the blur, as a share of the image's longer side: 14 of 224 pixels remove shapes but keep
colours."""


class Image(ContentArray):
    """An image.

    pixels: [H, W, C] with 1, 3 or 4 channels, or grey [H, W]. Integers in 0..255 are stored as uint8, floats in [0, 1]
        as float32.
    Raises `ValueError` for another shape, and for values outside the range, which have another scale.
    """

    def __init__(self, pixels: NDArray[np.generic]) -> None:
        pixels = np.asarray(pixels)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
            raise ValueError(f"an image is [H, W, C] with 1, 3 or 4 channels, got shape {pixels.shape}")
        super().__init__(_scale_pixels(pixels))

    @property
    def pixels(self) -> NDArray[np.generic]:
        """Pixels [H, W, C], uint8 in 0..255 or float32 in [0, 1]."""
        return self._values

    @cached_property
    def mean_colour(self) -> NDArray[np.generic]:
        """Mean colour [1, 1, C], rounded if the pixels are integers.

        Cached, because computing it takes longer than replacing pixels.
        """
        mean: NDArray[np.float64] = self._values.mean(axis=(0, 1), keepdims=True, dtype=np.float64)
        colour: NDArray[np.generic] = (np.round(mean) if self._values.dtype == np.uint8 else mean).astype(self._values.dtype)
        return colour


def _scale_pixels(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return pixels as uint8 in 0..255 or float32 in [0, 1]. Raises `ValueError` for another range."""
    if pixels.dtype == np.uint8:
        return pixels
    kind, low, high = pixels.dtype.kind, pixels.min(), pixels.max()
    if kind in "iu" and low >= 0 and high <= 255:
        return pixels.astype(np.uint8)
    # NaN fails both comparisons. The tolerance allows for float32 rounding in a resize or a projection.
    if kind in "bf" and low >= -1e-4 and high <= 1 + 1e-4:
        return pixels.astype(np.float32)
    raise ValueError(f"pixels are uint8 in 0..255 or floats in [0, 1], got {pixels.dtype} in {low}..{high}")


def count_positions(height: int, width: int, /) -> int:
    """Return the number of positions of an image of this size in pixels, at least 1."""
    return max(1, height * width // PIXELS)


class ImageModality(Modality[Image]):
    """The modality of images, with one position per 64 pixels. Its parts are pixels, row by row."""

    name = "image"
    type = Image
    part_kind = "pixels"
    ways = ("mean", "blur")

    def size(self, value: Image, /) -> int:
        return count_positions(*value.pixels.shape[:2])

    def preview(self, value: Image, /) -> Shown:
        return Shown(self.name, image=value)

    def to_json(self, value: Image, /) -> Any:
        return value.pixels

    def from_json(self, facts: Any, /) -> Image:
        return Image(facts)

    def parts(self, value: Image, /) -> NDArray[np.intp]:
        height, width = value.pixels.shape[:2]
        return np.arange(height * width).reshape(height, width)

    def without(self, value: Image, parts: Parts, way: str, /) -> Image:
        kept_HW = np.ones(value.pixels.shape[:2], dtype=bool)
        kept_HW.reshape(-1)[np.asarray(parts)] = False
        return blur(value, kept_HW) if way == "blur" else fill_with_mean(value, kept_HW)

    def pixels(self, value: Image, /) -> NDArray[np.float32]:
        scale = np.float32(255 if value.pixels.dtype == np.uint8 else 1)
        return np.asarray(value.pixels, dtype=np.float32) / scale

    def noisy(self, value: Image, draws: np.random.Generator, radius: float, /) -> Image:
        pixels = self.pixels(value)
        noise = draws.uniform(-radius, radius, pixels.shape).astype(np.float32)
        return Image(np.clip(pixels + noise, 0, 1))

    def bare(self, value: Image, /) -> NDArray[np.generic]:
        """Return a copy of the pixels, because a user function may modify it."""
        return np.array(value.pixels)

    def coarse(self, value: Image, /) -> Image:
        return value if value.pixels.dtype == np.uint8 else Image((value.pixels.clip(0, 1) * 255).round().astype(np.uint8))

    def stack_key(self, value: Image, /) -> tuple[int, ...]:
        return value.pixels.shape

    def num_bytes(self, value: Image, /) -> int:
        return value.num_bytes


def as_image(value: object, /) -> Image | None:
    """Return the value if it is an image; else None."""
    return value if isinstance(value, Image) else None


def fill_with_mean(image: Image, kept_HW: NDArray[np.bool_], /) -> Image:
    """Replace pixels by the image's mean colour.

    image: the image.
    kept_HW: true for pixels to keep.
    """
    # The mask is repeated per channel, because numpy broadcasts slowly over a last axis of three.
    kept_HWC = np.repeat(kept_HW.reshape(-1), image.pixels.shape[2]).reshape(image.pixels.shape)
    return Image(np.where(kept_HWC, image.pixels, image.mean_colour))


def blur(image: Image, kept_HW: NDArray[np.bool_], /) -> Image:
    """Replace pixels by those of a Gaussian blur of the whole image, rounded if the pixels are integers.

    image: the image.
    kept_HW: true for pixels to keep.
    """
    pixels = image.pixels.astype(np.float64)
    deviation = _BLUR * max(pixels.shape[:2])
    for axis in (0, 1):
        size = pixels.shape[axis]
        distance = np.arange(size)[:, None] - np.arange(size)
        # The weights sum to 1 at the border too, so the border does not become darker.
        weights = np.exp(-0.5 * (distance / deviation) ** 2)
        pixels = np.moveaxis(np.tensordot(weights / weights.sum(1, keepdims=True), pixels, (1, axis)), 0, axis)
    colour = np.round(pixels) if image.pixels.dtype == np.uint8 else pixels
    return Image(np.where(kept_HW[:, :, None], image.pixels, colour.astype(image.pixels.dtype)))
