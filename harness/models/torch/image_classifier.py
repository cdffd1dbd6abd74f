"""The model of the ``torch`` adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ...api.errors import ModelError
from ...identity.programs import fingerprint_program
from ...modalities.image import Image
from ...system.interrupts import is_interrupt
from ..common.outputs import Outputs
from .devices import pick_device, pick_dtype
from .image_reader import resize_pixels
from .pixel_classifier import PixelClassifier

if TYPE_CHECKING:
    from .source import TorchModule


class TorchClassifier(PixelClassifier):
    def __init__(self, source: TorchModule, device: str, dtype: str) -> None:
        self.name, self.labels = source.target, source.labels
        self.device = pick_device(device)
        self.dtype = pick_dtype(dtype, self.device, None)
        try:
            module = source.make if isinstance(source.make, torch.nn.Module) else source.make()
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise ModelError(f"{source.target} raised {type(error).__name__}: {error}") from error
        if not isinstance(module, torch.nn.Module):
            raise ModelError(f"{source.target} returned a {type(module).__name__}, not a torch.nn.Module")
        self.module = module.eval().to(self.device, self.dtype)
        self._channels, self._size = source.channels, source.size
        self._outputs, self.is_multi_label = Outputs(self.name, source.outputs, source.multi_label), source.multi_label
        settings = (self.dtype, source.labels, source.outputs, source.multi_label, source.channels, source.size)
        parts = [source.make, self.module]
        self.fingerprint, self._unknown = fingerprint_program(source.target, parts, settings, source.version, ("torch",))
        self.notes = self._unknown

    def to_pixels(self, image: Image, /) -> torch.Tensor:
        return resize_pixels(image, self._channels, self._size)

    def forward(self, pixels_BCHW: torch.Tensor, /) -> torch.Tensor:
        scores = self.module(pixels_BCHW.to(self.dtype))
        if not isinstance(scores, torch.Tensor) or scores.ndim != 2:
            return scores  # the caller checks the shape
        logits_BK = self._outputs.of_tensor(scores, len(self.labels) or max(2, scores.shape[1]))
        self.notes = (*self._unknown, *self._outputs.notes)
        return logits_BK
