"""Base class of image classifiers: canonical pixels, batching by shape, and class scores in the order of the requested labels.

Shape legend: B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...api.errors import SampleError
from ...api.requests import Classify, Request
from ...api.responses import Logits, Response
from ...modalities.image import Image, as_image, count_positions
from ...modalities.inputs import Input, name_modality
from ..common.channels import with_channels
from .named_scores import NamedScores


@dataclass(frozen=True, slots=True)
class Pixels:
    """One image ready for the model: float32 [C, H, W] in [0, 1]."""

    pixels_CHW: torch.Tensor
    labels: tuple[str, ...]


class ImageReader(NamedScores):
    """Answers `Classify` for images. A subclass defines `to_pixels` (resizing) and `score` (normalisation and network)."""

    def to_pixels(self, image: Image, /) -> torch.Tensor:
        """Convert an image to float32 [C, H, W] in [0, 1] at the model's size. Leaves its own output unchanged."""
        raise NotImplementedError

    def score(self, batch: Sequence[Pixels], /) -> torch.Tensor:
        """Return logits [B, K] of images of one shape."""
        raise NotImplementedError

    def canonical(self, value: Input, /) -> Image:
        """Return the image at the model's size, float32 [H, W, C] in [0, 1], as attacks perturb it."""
        return Image(self.to_pixels(_get_image(value)).permute(1, 2, 0).numpy())

    def split(self, request: Request[Response], /) -> Sequence[Pixels]:
        assert isinstance(request, Classify)
        return (Pixels(self.to_pixels(_get_image(request.input)), request.labels),)

    def length(self, unit: Pixels, /) -> int:
        return count_positions(*unit.pixels_CHW.shape[1:])

    def batch_key(self, unit: Pixels, /) -> Hashable:
        """Group images by shape, because pixels cannot be padded."""
        return tuple(unit.pixels_CHW.shape)

    def classify(self, batch: Sequence[Pixels]) -> list[Logits]:
        # Not inference_mode, whose tensors could not be differentiated later if a module keeps them.
        with torch.no_grad():
            return self.answer(self.score(batch), batch[0].labels)


def _get_image(value: Input) -> Image:
    image = as_image(value)
    if image is None:
        raise SampleError(f"an image classifier takes images, not {name_modality(value)}")
    return image


def resize_pixels(image: Image, channels: int, size: Sequence[int] | None, /) -> torch.Tensor:
    """Convert an image to float32 [C, H, W] in [0, 1], resized (bilinear, antialiased) if ``size`` [height, width] is given."""
    pixels = with_channels(np.asarray(image.pixels), channels)
    scaled = pixels.astype(np.float32) / np.float32(255) if pixels.dtype == np.uint8 else pixels
    pixels_CHW = torch.tensor(scaled.transpose(2, 0, 1))
    if size is None or list(pixels_CHW.shape[1:]) == list(size):
        return pixels_CHW
    resized = torch.nn.functional.interpolate(pixels_CHW[None], size=tuple(size), mode="bilinear", antialias=True)
    return resized[0].clamp(0, 1)
