"""The image processor of a checkpoint: resizes and rescales to [0, 1], and normalises as a separate step.

Shape legend: C channels, H height, W width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...api.errors import ModelError
from ...modalities.image import Image
from ..common.channels import with_channels


class ImageProcessor:
    """Prepares images as a processor of transformers does.

    Float images of the processor's output size are taken as its output, and not resized or cropped again, because an
    attack's images are. Pictures of that size that need processing must be uint8.

    processor: transformers' own, whose types differ between its releases.
    channels: 1 or 3.
    name: name of the model, for errors.
    mean, std: the normalisation, [1, C, 1, 1] or [1, 1, 1, 1].
    Raises `ModelError` if the processor does not scale to 0..1.
    """

    def __init__(self, processor: Any, channels: int, name: str) -> None:
        self._processor, self._channels = processor, channels
        normalises = getattr(processor, "do_normalize", False)
        mean, std = (processor.image_mean, processor.image_std) if normalises else (0.0, 1.0)
        self.mean, self.std = (torch.tensor(value, dtype=torch.float32).view(1, -1, 1, 1) for value in (mean, std))
        self._kept_sizes: dict[tuple[int, int], bool] = {}
        black, white = (self._process(np.full((64, 64, channels), value, np.uint8)) for value in (0, 255))
        if black.abs().max() > 1e-3 or (white - 1).abs().max() > 1e-3:
            raise ModelError(
                f"the image processor of {name!r} maps 0..255 to {float(black.min()):.3g}..{float(white.max()):.3g}, "
                "not to 0..1; wrap the model with torch:FILE.py:function"
            )

    @property
    def kind(self) -> str:
        """The class of the processor: those of one checkpoint use different libraries to resize, which differ in the last bits."""
        return type(self._processor).__name__

    def to_pixels(self, image: Image, /) -> torch.Tensor:
        """Convert an image to float32 [C, H, W] in [0, 1] at the model's size. Leaves its own output unchanged."""
        pixels = with_channels(np.asarray(image.pixels), self._channels)
        if pixels.dtype == np.uint8:
            # Bicubic resizing overshoots.
            return self._process(pixels).clamp(0, 1)
        # Floats of the output size have been processed, or are an attack's, and must stay exact.
        if self._keeps_size(*pixels.shape[:2]):
            return torch.tensor(pixels.transpose(2, 0, 1))
        return self._process((pixels * 255).round().clip(0, 255).astype(np.uint8)).clamp(0, 1)

    def _keeps_size(self, height: int, width: int) -> bool:
        if (height, width) not in self._kept_sizes:
            processed = self._process(np.zeros((height, width, self._channels), np.uint8))
            self._kept_sizes[height, width] = tuple(processed.shape[1:]) == (height, width)
        return self._kept_sizes[height, width]

    def _process(self, pixels_HWC: np.ndarray) -> torch.Tensor:
        batch = self._processor(images=[pixels_HWC], do_normalize=False, input_data_format="channels_last", return_tensors="pt")
        return torch.as_tensor(batch["pixel_values"][0]).float()
