"""Image classification with a transformers checkpoint and its image processor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModelForImageClassification

from ...api.errors import ModelError
from ...api.model import Encoded
from ...modalities.image import Image
from ..torch.attention_weights import average_heads
from ..torch.pixel_classifier import PixelClassifier, with_channels
from .checkpoint_model import HFModel
from .source import HuggingFace


class HFImageClassifier(HFModel, PixelClassifier):
    """An image classifier of transformers. The processor resizes and rescales to [0, 1] (`to_pixels`); `forward` normalises,
    so that gradients include it.

    Float images of the processor's output size are taken as its output, and not resized or cropped again, because an
    attack's images are. Pictures of that size that need processing must be uint8.
    """

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        super().__init__(source, device, dtype, AutoModelForImageClassification)
        self._head = source.head(self.config)
        self.labels, self.is_multi_label = self._head.labels, self._head.is_multi_label
        self._processor = source.pretrained(AutoImageProcessor)
        self._channels = int(getattr(self.config, "num_channels", 3))
        normalises = getattr(self._processor, "do_normalize", False)
        mean, std = (self._processor.image_mean, self._processor.image_std) if normalises else (0.0, 1.0)
        shape = (1, -1, 1, 1)
        self._mean = torch.tensor(mean, dtype=torch.float32, device=self.device).view(shape)
        self._std = torch.tensor(std, dtype=torch.float32, device=self.device).view(shape)
        black, white = (self._process(np.full((64, 64, self._channels), value, np.uint8)) for value in (0, 255))
        if black.abs().max() > 1e-3 or (white - 1).abs().max() > 1e-3:
            raise ModelError(
                f"the image processor of {self.name!r} maps 0..255 to {float(black.min()):.3g}..{float(white.max()):.3g}, "
                "not to 0..1; wrap the model with torch:FILE.py:function"
            )
        self._kept_sizes: dict[tuple[int, int], bool] = {}
        # The processor classes of a checkpoint use different libraries for resizing, which differ in the last bits.
        self.fingerprint = source.fingerprint(self.module, self.dtype, type(self._processor).__name__)

    def to_pixels(self, image: Image, /) -> torch.Tensor:
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

    def forward(self, pixels_BCHW: torch.Tensor, /) -> torch.Tensor:
        return self._head.logits(self._run(pixels_BCHW).logits)

    def attentions(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        """Return the attention weights of the M layers, averaged over heads, [N, M, L, L]."""
        return average_heads(self.module, lambda: self._run(features, output_attentions=True), self.name)

    def _run(self, pixels_BCHW: torch.Tensor, **options: Any) -> Any:
        normalised = (pixels_BCHW - self._mean) / self._std
        return self.module(pixel_values=normalised.to(self.dtype), **options)

    def _process(self, pixels_HWC: np.ndarray) -> torch.Tensor:
        batch = self._processor(images=[pixels_HWC], do_normalize=False, input_data_format="channels_last", return_tensors="pt")
        return torch.as_tensor(batch["pixel_values"][0]).float()
