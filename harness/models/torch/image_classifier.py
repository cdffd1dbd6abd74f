"""Images through a torch module of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ...modalities.image import Image
from .image_reader import resize_pixels
from .pixel_classifier import PixelClassifier
from .user_module import UserModule

if TYPE_CHECKING:
    from .module_source import ModuleSource


class TorchClassifier(UserModule, PixelClassifier):
    """Answers `Classify` for images, with gradients."""

    def __init__(self, source: ModuleSource, device: str, dtype: str) -> None:
        self.load_module(source, device, dtype)
        self._channels, self._size = source.channels, source.size

    def to_pixels(self, image: Image, /) -> torch.Tensor:
        return resize_pixels(image, self._channels, self._size)

    def forward(self, pixels_BCHW: torch.Tensor, /) -> torch.Tensor:
        return self.to_logits(self.module(pixels_BCHW.to(self.dtype)))
