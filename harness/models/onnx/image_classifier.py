"""Image classification with an ONNX graph.

Shape legend: B batch, C channels, H height, W width, K scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ...modalities.image import Image
from ..torch.image_reader import ImageReader, Pixels, resize_pixels
from .files import Export
from .preparation import load_processor, note_dtype
from .roles import PIXELS
from .session import Session

if TYPE_CHECKING:
    from .source import Onnx

_COLOURS = (1, 3)


class OnnxImageClassifier(ImageReader):
    """Answers `Classify` for images. Without a processor in its folder, the graph gets pixels in [0, 1]."""

    def __init__(self, source: Onnx, export: Export, device: str, dtype: str) -> None:
        self.name, self._head = source.target, source.read_head(export)
        self.labels, self.is_multi_label = self._head.labels, self._head.is_multi_label
        self._outputs = source.make_outputs(export, self._head)
        pixels = export.roles.inputs[PIXELS]
        self._is_channels_last = pixels.size(1) not in _COLOURS and pixels.size(3) in _COLOURS
        self._channels = pixels.size(3 if self._is_channels_last else 1) or int(export.config.get("num_channels", 3))
        height, width = (pixels.size(axis) for axis in ((1, 2) if self._is_channels_last else (2, 3)))
        self._size = [height, width] if height and width else source.size
        self._processor = load_processor(export, self._channels, self.name)
        own = () if self._processor is not None else ("it has no image processor, so its graph gets pixels in [0, 1]",)
        self._session = Session(export, device, source.providers)
        self._own_notes = self.notes = (*own, *note_dtype(export, dtype))
        kind = self._processor.kind if self._processor is not None else ""
        self.fingerprint = source.fingerprint(export, self._session.providers, kind)

    def to_pixels(self, image: Image, /) -> torch.Tensor:
        if self._processor is not None:
            return self._processor.to_pixels(image)
        return resize_pixels(image, self._channels, self._size)

    def score(self, batch: Sequence[Pixels], /) -> torch.Tensor:
        pixels_BCHW = torch.stack([unit.pixels_CHW for unit in batch])
        if self._processor is not None:
            pixels_BCHW = (pixels_BCHW - self._processor.mean) / self._processor.std
        arranged = pixels_BCHW.permute(0, 2, 3, 1) if self._is_channels_last else pixels_BCHW
        scores_BK = torch.from_numpy(self._session.run({PIXELS: arranged.numpy()}))
        logits = self._outputs.of_tensor(scores_BK, len(self.labels) or max(2, scores_BK.shape[1]))
        self.notes = (*self._own_notes, *self._outputs.notes)
        return self._head.logits(logits)
