"""Convert the number of channels of an image."""

from __future__ import annotations

import numpy as np


def with_channels(pixels_HWC: np.ndarray, wanted: int, /) -> np.ndarray:
    """Convert the number of channels: grey to colour by repeating, colour to grey by the luma weights of ITU-R BT.601.

    Alpha is dropped; the dtype is kept.
    """
    have = pixels_HWC.shape[2]
    if have == 4:
        pixels_HWC, have = pixels_HWC[:, :, :3], 3
    if have == wanted:
        return pixels_HWC
    if have == 1:
        return np.repeat(pixels_HWC, wanted, axis=2)
    grey: np.ndarray = (pixels_HWC @ np.array([0.299, 0.587, 0.114]))[:, :, None]
    return grey.round().astype(np.uint8) if pixels_HWC.dtype == np.uint8 else grey.astype(np.float32)
