"""An image: pixels ``[H, W, C]``, uint8 in 0..255 as in a file, or float32 in [0, 1] after a model's own resizing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .array import ContentArray


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
