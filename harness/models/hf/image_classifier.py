"""Image classification with a transformers checkpoint and its image processor."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoImageProcessor, AutoModelForImageClassification

from ...api.model import Encoded
from ...modalities.image import Image
from ..checkpoint.files import TIMM
from ..checkpoint.image_processor import ImageProcessor
from ..torch.attention_weights import average_heads
from ..torch.pixel_classifier import PixelClassifier
from .checkpoint_model import HFModel
from .source import HuggingFace


class HFImageClassifier(HFModel, PixelClassifier):
    """An image classifier of transformers. The processor resizes and rescales to [0, 1] (`to_pixels`); `forward` normalises,
    so that gradients include it."""

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        super().__init__(source, device, dtype, AutoModelForImageClassification)
        self._head = source.head(self.config)
        self.labels, self.is_multi_label = self._head.labels, self._head.is_multi_label
        processor = source.place.pretrained(AutoImageProcessor)
        if self.config.model_type == TIMM:
            from ..checkpoint.timm_images import TimmProcessor

            channels, processor = self.config.pretrained_cfg["input_size"][0], TimmProcessor(processor, self.name)
        else:
            channels = int(getattr(self.config, "num_channels", 3))
        self._processor = ImageProcessor(processor, channels, self.name)
        self._mean, self._std = self._processor.mean.to(self.device), self._processor.std.to(self.device)
        self.fingerprint = source.fingerprint(self.module, self.dtype, self._processor.kind)

    def to_pixels(self, image: Image, /) -> torch.Tensor:
        return self._processor.to_pixels(image)

    def forward(self, pixels_BCHW: torch.Tensor, /) -> torch.Tensor:
        return self._head.logits(self._run(pixels_BCHW).logits)

    def attentions(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        """Return the attention weights of the M layers, averaged over heads, [N, M, L, L]."""
        return average_heads(self.module, lambda: self._run(features, output_attentions=True), self.name)

    def _run(self, pixels_BCHW: torch.Tensor, **options: Any) -> Any:
        normalised = (pixels_BCHW - self._mean) / self._std
        return self.module(pixel_values=normalised.to(self.dtype), **options)
