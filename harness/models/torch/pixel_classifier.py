"""Base class of image classifiers on torch: canonical pixels, batching by shape, and gradients in [0, 1] pixel space.

Shape legend: B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...api.errors import ModelError, SampleError
from ...api.model import PIXELS, Differentiable, Encoded, Model
from ...api.requests import Classify, Logits, Request, Response
from ...modalities.image import Image, as_image, count_positions
from ...modalities.inputs import Input, name_modality
from ..common.labels import find_columns
from .devices import to_device
from .randomised import randomise

_LARGE = 64 * 64
"""Pixels; of smaller images the other order of channels saves nothing."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """One image ready for the model: float32 [C, H, W] in [0, 1]."""

    pixels_CHW: torch.Tensor
    labels: tuple[str, ...]


class PixelClassifier(Model, Differentiable):
    """Answers `Classify` for images. A subclass defines `to_pixels` (resizing) and `forward` (normalisation and network)."""

    module: torch.nn.Module
    device: torch.device
    dtype: torch.dtype
    labels: tuple[str, ...]
    is_multi_label: bool = False
    _is_channels_last: bool = True
    _is_way_back_known: bool = False
    _is_way_back_to_try: bool = False

    def to_pixels(self, image: Image, /) -> torch.Tensor:
        """Convert an image to float32 [C, H, W] in [0, 1] at the model's size. Leaves its own output unchanged."""
        raise NotImplementedError

    def forward(self, pixels_BCHW: torch.Tensor, /) -> torch.Tensor:
        """Return logits [B, K] of pixels [B, C, H, W] in [0, 1]."""
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
            logits_BK = self._check(self._forward(self._stack(batch)), len(batch[0].labels)).float().cpu()
        columns = self._find_columns(logits_BK.shape[1], batch[0].labels)
        return [Logits(tuple(row), is_multi_label=self.is_multi_label) for row in logits_BK[:, columns].tolist()]

    def randomised(self, seed: int, share: float = 1.0, /) -> PixelClassifier:
        """Return the model with random weights in a share of its layers, from the last."""
        return randomise(self, seed, share)

    def differentiable(self) -> PixelClassifier:
        return self

    def encode(self, requests: Sequence[Classify], /) -> Encoded:
        batch = [self.split(request)[0] for request in requests]
        pixels_BCHW = self._stack(batch)
        if self._is_way_back_to_try and _is_large(pixels_BCHW):
            self._is_way_back_to_try, self._is_channels_last = False, True
            self._is_channels_last = self._goes_back(pixels_BCHW[:1])
        columns = torch.tensor([self._find_columns(len(unit.labels), unit.labels) for unit in batch], device=self.device)
        return Encoded(pixels_BCHW, torch.zeros_like(pixels_BCHW), extra={"columns": columns}, domain=PIXELS)

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        columns = encoded.extra["columns"] if rows is None else encoded.extra["columns"][rows]
        found_BK = self._check(self._forward(features), columns.shape[1])
        if found_BK.requires_grad and self._is_channels_last and not self._is_way_back_known and _is_large(features):
            self._is_way_back_known = True
            if _has_own_way_back(found_BK):
                # Tried when images are next made ready: here a pass more would be one that a hook sees.
                self._is_way_back_to_try, self._is_channels_last = True, False
                found_BK = self._check(self._forward(features), columns.shape[1])
        return found_BK.gather(1, columns)

    def _forward(self, pixels_BCHW: torch.Tensor) -> torch.Tensor:
        """`forward`, of large images on a CPU with the channels of a pixel side by side: convolutions and the way back through them take
        0.85 to 0.9 of the time. A module that counts on the other order (``x.view(len(x), -1)``) keeps it, from its first pass on."""
        if self._is_channels_last:
            try:
                return self.forward(_lay_out(pixels_BCHW))
            except RuntimeError as error:
                if "view" not in str(error):
                    raise
                self._is_channels_last = False
        return self.forward(pixels_BCHW.contiguous())

    def _goes_back(self, pixels_1CHW: torch.Tensor) -> bool:
        """Whether the gradient takes channels last, too: a function of the module's own may count on the other order on the way back alone,
        and torch's own functions never do, so that of a module without others this is not asked.
        Any other error is told by the pass that is asked for."""
        with torch.inference_mode(False), torch.enable_grad():
            at = _lay_out(pixels_1CHW).clone(memory_format=torch.preserve_format).requires_grad_()
            try:
                torch.autograd.grad(self._forward(at).sum(), at)
            except RuntimeError as error:
                return self._is_channels_last and "view" not in str(error)
        return self._is_channels_last

    def _find_columns(self, num_classes: int, labels: Sequence[str]) -> list[int]:
        """Return the output column of each requested label. A model without names has numbers, which mean the order of ``labels``."""
        return find_columns(self.labels or tuple(map(str, range(num_classes))), labels)

    def _check(self, logits_BK: torch.Tensor, num_requested: int) -> torch.Tensor:
        """Check the shape of the model's logits. ``num_requested``: the number of requested labels, that of a model without names."""
        if not isinstance(logits_BK, torch.Tensor) or logits_BK.ndim != 2:
            found = f"shape {list(logits_BK.shape)}" if isinstance(logits_BK, torch.Tensor) else f"a {type(logits_BK).__name__}"
            raise ModelError(f"{self.name!r} must return class scores [B, K]; it returned {found}. Return only that tensor")
        if self.labels and logits_BK.shape[1] != len(self.labels):
            raise ModelError(
                f"{self.name!r} returns {logits_BK.shape[1]} logits, but has {len(self.labels)} labels ({', '.join(self.labels)})"
            )
        if not self.labels and logits_BK.shape[1] != num_requested != 0:
            raise ModelError(
                f"{self.name!r} returns {logits_BK.shape[1]} logits, and the task has {num_requested} classes; name the model's outputs in "
                "order with the model setting 'labels: [...]'"
            )
        return logits_BK

    def _stack(self, batch: Sequence[Pixels]) -> torch.Tensor:
        shapes = {tuple(unit.pixels_CHW.shape) for unit in batch}
        if len(shapes) > 1:
            raise SampleError(f"images of different shapes cannot share a batch: {sorted(shapes)}")
        stacked = to_device(torch.stack([unit.pixels_CHW for unit in batch]), self.device)
        return _lay_out(stacked) if self._is_channels_last else stacked


def _is_large(pixels_BCHW: torch.Tensor) -> bool:
    return pixels_BCHW.device.type == "cpu" and pixels_BCHW.shape[2:].numel() >= _LARGE


def _has_own_way_back(logits_BK: torch.Tensor) -> bool:
    """Whether the gradient goes through a function whose way back is not torch's own, but written in Python."""
    seen: set[torch.autograd.graph.Node] = set()
    ahead = [logits_BK.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            return True
        seen.add(node)
        ahead += [before for before, _ in node.next_functions]
    return False


def _lay_out(pixels_BCHW: torch.Tensor) -> torch.Tensor:
    return pixels_BCHW.contiguous(memory_format=torch.channels_last) if _is_large(pixels_BCHW) else pixels_BCHW


def _get_image(value: Input) -> Image:
    image = as_image(value)
    if image is None:
        raise SampleError(f"an image classifier takes images, not {name_modality(value)}")
    return image


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
