"""Occlusion: the decrease of the logit under a sliding window (Zeiler, Fergus 2014, arXiv:1311.2901)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from ..harness.api.errors import ConfigError
from ..harness.api.settings import Count
from ..harness.modalities.inputs import Input
from .perturbation import Logit, Mask, Parts, Perturbation, Values


class Occlusion(Perturbation):
    """Decrease of the explained class's logit without the content of a sliding window, averaged over the
    windows of each part.

    target: explained class, ``predicted`` or ``gold``.
    words: length of the window on a text; it moves by one word.
    pixels: side of the window on an image. Default: a quarter of the image's shorter side.
    stride: step of the window in pixels, at most ``pixels``. Default: half of ``pixels``.

    A window longer than the input covers all of it; the last one of a row ends with the image. Words are cut
    with all their sub-tokens, and patches get the image's mean colour, as in the faithfulness scores. Works
    with any classifier. One query per window. num_evaluations: number of evaluated inputs, including the full
    one.

    Reference: M. Zeiler, R. Fergus. Visualizing and Understanding Convolutional Networks. ECCV 2014.
    """

    def __init__(self, *, target: str = "predicted", words: Count = 1, pixels: Count | None = None, stride: Count | None = None) -> None:
        super().__init__(target=target)
        if words < 1 or (pixels is not None and pixels < 1):
            raise ConfigError(f"occlusion needs a window of at least one word and one pixel, not {words} and {pixels}")
        if stride is not None and not 1 <= stride <= (pixels or stride):
            raise ConfigError(f"occlusion's stride is from 1 to pixels ({pixels}), or pixels are passed over, not {stride}")
        self.words, self.pixels, self.stride = words, pixels, stride

    def parts(self, value: Input, /) -> Parts:
        return Parts(value)

    def masks(self, parts: Parts, rng: np.random.Generator, /) -> Iterator[Mask]:
        shape = parts.region.shape
        side, stride = self.words, 1
        if parts.are_small:
            side = self.pixels or max(1, min(shape) // 4)
            stride = min(self.stride or max(1, side // 2), side)
        for window in itertools.product(*(_list_windows(length, side, stride) for length in shape)):
            shown = np.ones(shape, dtype=bool)
            shown[tuple(slice(*edges) for edges in window)] = False
            yield shown.reshape(-1)

    def combine(self, parts: Parts, rng: np.random.Generator, logit: Logit, /) -> Values:
        full = logit(np.ones(parts.size, dtype=bool))
        falls, windows = np.zeros(parts.size), np.zeros(parts.size)
        for mask in self.masks(parts, rng):
            falls += (full - logit(mask)) * ~mask
            windows += ~mask
        return falls / windows


def _list_windows(length: int, size: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of windows that cover the length; the last one is shorter if the stride does not fit."""
    size = min(size, length)
    for index in range(math.ceil((length - size) / stride) + 1):
        yield index * stride, min(index * stride + size, length)
