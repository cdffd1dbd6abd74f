"""Classes of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack

import numpy as np

from ..harness.data import DataSpec, Row
from ..harness.errors import SampleError
from ..harness.inputs import Image
from .base import Common, Item
from .classification import Classification
from .fields import Field


class ImageClassification(Classification):
    """Settings: ``image``, a column of images; ``mode``: RGB, or L for grey [H, W, 1]; ``label``; ``labels``; ``label_map``."""

    requires = frozenset({"classify", "image"})

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        image: str,
        label: str,
        mode: Literal["RGB", "L"] = "RGB",
        labels: Sequence[str] = (),
        label_map: Mapping[str | int, str] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self._image, self._mode = Field("image", image), mode
        super().__init__(name, data, [self._image], label, labels, label_map, **common)

    def build(self, row: Row) -> Item:
        return Item(self._pixels(self._image.value(row)), self.classes.index(self._label.value(row)), self.classes.names)

    def _pixels(self, value: Any) -> Image:
        if isinstance(value, Image):
            return value
        if isinstance(value, np.ndarray):
            return Image(value)
        if not hasattr(value, "convert"):
            raise SampleError(f"image: {self._image.source!r} is {type(value).__name__}; an image is a PIL image or an array [H, W, C]")
        if value.mode.startswith(("I", "F")):
            raise SampleError(
                f"image: {self._image.source!r} has more than 8 bits a pixel (Pillow mode {value.mode}), which would be cut to white"
            )
        return Image(np.asarray(value.convert(self._mode)))
