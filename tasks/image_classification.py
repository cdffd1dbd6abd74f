"""Classify an image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack

import numpy as np

from ..harness.api.errors import SampleError
from ..harness.data import DataSpec, EncodedImage, Row
from ..harness.modalities.image import Image
from .base import Common, Item
from .classification import Classification
from .fields import Field, Label


class ImageClassification(Classification):
    """Classify an image. Score: ``correct``.

    image: field with the image.
    mode: RGB, or L for grey [H, W, 1].
    label: field with the class.
    labels: names of the classes, in order.
    label_map: names for values of the data set.
    boxes: field with the position of the object: [left, top, right, bottom] in pixels, a list of such boxes,
        or its JSON. Probes are scored against it.
    """

    requires = frozenset({"classify", "image"})
    hub_task = "image-classification"

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        image: str,
        label: str,
        mode: Literal["RGB", "L"] = "RGB",
        labels: Sequence[Label] = (),
        label_map: Mapping[Label, Label] | None = None,
        boxes: str = "",
        **common: Unpack[Common],
    ) -> None:
        self._image, self._mode = Field("image", image), mode
        self._boxes = Field("boxes", boxes) if boxes else None
        super().__init__(name, data, [f for f in (self._image, self._boxes) if f], label, labels, label_map, **common)

    def build(self, row: Row) -> Item:
        image = self._get_pixels(self._image.value(row))
        marked = {"boxes": parse_boxes(self._boxes.value(row), *image.pixels.shape[1::-1])} if self._boxes else {}
        return Item(image, self.classes.index(self._label.value(row)), self.classes.names, marked)

    def _get_pixels(self, value: Any) -> Image:
        if isinstance(value, Image):
            return value
        if isinstance(value, EncodedImage):
            value = value.decode()
        if isinstance(value, np.ndarray):
            return Image(value)
        if not hasattr(value, "convert"):
            raise SampleError(f"image: {self._image.source!r} is {type(value).__name__}; it must be a PIL image or an array [H, W, C]")
        if value.mode.startswith(("I", "F")):
            raise SampleError(
                f"image: {self._image.source!r} has more than 8 bits per pixel (Pillow mode {value.mode}); "
                "conversion would clip it to white"
            )
        if value.mode == "P" and "transparency" in value.info:
            value = value.convert("RGBA")  # as Pillow recommends for transparency in bytes
        return Image(np.asarray(value.convert(self._mode)))


def parse_boxes(value: Any, width: int, height: int, /) -> list[list[float]]:
    """Return [left, top, right, bottom] of each box as shares of the image's sides. Raises `SampleError` for invalid boxes.

    >>> parse_boxes("[0, 2, 5, 4]", 10, 4), parse_boxes([[5, 0, 10, 1]], 10, 4)
    ([[0.0, 0.5, 0.5, 1.0]], [[0.5, 0.0, 1.0, 0.25]])
    """
    try:
        boxes = np.array(json.loads(value) if isinstance(value, str) else value, dtype=np.float64).reshape(-1, 4)
    except (TypeError, ValueError) as error:
        raise SampleError(f"boxes: {str(value)[:60]!r} is not a list of [left, top, right, bottom]") from error
    shares = boxes / (width, height, width, height)
    if not ((shares >= 0) & (shares <= 1)).all() or (shares[:, 2:] <= shares[:, :2]).any():
        raise SampleError(f"boxes: {str(value)[:60]!r} is not [left, top, right, bottom] inside an image of {width} x {height} pixels")
    result: list[list[float]] = shares.tolist()
    return result
