"""Base class of image classifiers on torch, with gradients in [0, 1] pixel space.

Shape legend: B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch

from ...api.errors import SampleError
from ...api.model import PIXELS, Differentiable, Encoded
from ...api.requests import Classify
from .devices import to_device
from .image_reader import ImageReader, Pixels
from .randomised import randomise

_LARGE = 64 * 64
"""Pixels; of smaller images the other order of channels saves nothing."""


class PixelClassifier(ImageReader, Differentiable):
    """An image classifier with gradients. A subclass defines `to_pixels` (resizing) and `forward` (normalisation and network)."""

    module: torch.nn.Module
    device: torch.device
    dtype: torch.dtype
    _is_channels_last: bool = True
    _is_way_back_known: bool = False
    _is_way_back_to_try: bool = False

    def forward(self, pixels_BCHW: torch.Tensor, /) -> torch.Tensor:
        """Return logits [B, K] of pixels [B, C, H, W] in [0, 1]."""
        raise NotImplementedError

    def score(self, batch: Sequence[Pixels], /) -> torch.Tensor:
        return self._forward(self._stack(batch))

    def randomised(self, seed: int, share: float = 1.0, /) -> Self | None:
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
        columns = torch.tensor([self.find_columns(len(unit.labels), unit.labels) for unit in batch], device=self.device)
        return Encoded(pixels_BCHW, torch.zeros_like(pixels_BCHW), extra={"columns": columns}, domain=PIXELS)

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        columns = encoded.extra["columns"] if rows is None else encoded.extra["columns"][rows]
        found_BK = self.check(self._forward(features), columns.shape[1])
        if found_BK.requires_grad and self._is_channels_last and not self._is_way_back_known and _is_large(features):
            self._is_way_back_known = True
            if _has_own_way_back(found_BK):
                # Tried when images are next made ready: here a pass more would be one that a hook sees.
                self._is_way_back_to_try, self._is_channels_last = True, False
                found_BK = self.check(self._forward(features), columns.shape[1])
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
