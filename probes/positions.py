"""Convert a layer's values per position to attributions: tokens to words, patches and maps to pixels.

Shape legend: N rows of a pass, L tokens, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..harness.api.errors import ConfigError
from ..harness.api.model import EMBEDDINGS, PIXELS
from ..harness.modalities.inputs import Input, parts_of, shape_of, texts_of
from ..harness.modalities.words import Spans, gather, spans_in

if TYPE_CHECKING:
    import torch

Values: TypeAlias = NDArray[np.float64]

_MOST_SPECIAL = 16
"""Tokens of a vision transformer that are no patch: [CLS], a distillation token, registers."""


def by_position(values: torch.Tensor, lengths: Sequence[int] | None, domain: str, /) -> list[Values]:
    """Sum a layer's values to one number per position: [L] for texts (without padding) and vision
    transformers, [H, W] for maps.

    lengths: real tokens of each text; None for all else.
    domain: of the model's features (`Encoded.domain`); unless it is embeddings or pixels, each value is a
        position of its own.
    """
    import torch

    dims: tuple[int, ...] = ()
    if domain in (EMBEDDINGS, PIXELS):
        dims = (1,) if domain == PIXELS and values.ndim == 4 else tuple(range(2, values.ndim))
    # The sum in float64: of a thousand pixels in float32 it would miss by more than an integral does.
    summed = (values.sum(dims, dtype=torch.float64) if dims else values.double()).cpu().numpy()
    return [row if lengths is None else row[: lengths[n]] for n, row in enumerate(summed)]


def placed(
    value: Input, values: Values, token_spans: Sequence[tuple[int, int]], patch: int | None, domain: str, /
) -> tuple[NDArray[np.float32], Spans, float]:
    """Return the values and spans of an attribution from `by_position`, and the sum at special tokens.

    Tokens are gathered to words. A pixel has the value of its patch, or the bilinear interpolation of a map
    of another size. For any other modality, and in any other domain, a position is a part. Raises
    `ConfigError` if the positions are none of these.

    patch: side of a vision transformer's patches, in pixels.
    domain: of the model's features (`Encoded.domain`).
    """
    texts = texts_of(value)
    if domain not in (EMBEDDINGS, PIXELS) or not (texts or domain == PIXELS):
        return _of_parts(value, values, domain), (), 0.0
    if texts:
        words = spans_in(texts)
        special = sum(float(v) for v, span in zip(values, token_spans, strict=True) if tuple(span) == (0, 0))
        return gather(values.astype(np.float32), token_spans, words), words, special
    height, width = shape_of(parts_of(value))
    if values.ndim == 1:
        patches, special = _in_patches(values, height, width, patch)
        return patches.astype(np.float32), (), special
    return (values if values.shape == (height, width) else enlarged(values, height, width)).astype(np.float32), (), 0.0


def _of_parts(value: Input, values: Values, domain: str) -> NDArray[np.float32]:
    shape = shape_of(parts_of(value))
    if values.size != math.prod(shape):
        raise ConfigError(
            f"the model gives {list(values.shape)} values in its domain {domain!r}, and the input has parts in the shape {list(shape)}: "
            "they must be one for each part"
        )
    return values.astype(np.float32).reshape(shape)


def enlarged(map_HW: Values, height: int, width: int, /) -> Values:
    import torch

    given = torch.as_tensor(map_HW)[None, None]
    made: Values = torch.nn.functional.interpolate(given, size=(height, width), mode="bilinear", align_corners=False)[0, 0].numpy()
    return made


def _in_patches(values_L: Values, height: int, width: int, patch: int | None) -> tuple[Values, float]:
    """Return the tokens row by row of the image without special tokens, and the sum of the special tokens.

    Pixels beyond the last whole patch, which the model ignores, get 0.
    """
    rows, columns = (height // patch, width // patch) if patch else (0, 0)
    if not 0 < rows * columns <= len(values_L) <= rows * columns + _MOST_SPECIAL:
        raise ConfigError(
            f"the model gives {len(values_L)} positions for an image of {height} x {width} pixels, which are not its patches"
            f" (patch_size: {patch}); this needs a vision transformer whose tokens stay one a patch"
        )
    first, side = len(values_L) - rows * columns, patch or 0
    made = np.zeros((height, width))
    made[: rows * side, : columns * side] = values_L[first:].reshape(rows, columns).repeat(side, 0).repeat(side, 1)
    return made, float(values_L[:first].sum())
