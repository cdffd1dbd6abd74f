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
from ..harness.modalities.inputs import Input, get_shape, list_parts, list_texts
from ..harness.modalities.words import Spans, gather, spans_in

if TYPE_CHECKING:
    import torch

Values: TypeAlias = NDArray[np.float64]

_MOST_SPECIAL = 16
"""Maximum number of tokens of a vision transformer besides patches: [CLS], a distillation token, registers."""


def sum_by_position(values: torch.Tensor, lengths: Sequence[int] | None, domain: str, /) -> list[Values]:
    """Sum a layer's values to one number per position.

    values: values of each row [N, ...].
    lengths: number of tokens of each text without padding; None for other inputs.
    domain: domain of the model's features (`Encoded.domain`). Unless it is embeddings or pixels, each value is a
        position of its own.
    Returns one array per row: [L] for texts, without padding, and for vision transformers, [H, W] for maps.
    """
    import torch

    dims: tuple[int, ...] = ()
    if domain in (EMBEDDINGS, PIXELS):
        dims = (1,) if domain == PIXELS and values.ndim == 4 else tuple(range(2, values.ndim))
    # Sum in float64: over a thousand pixels the rounding error of float32 would exceed the error of an integral.
    summed = (values.sum(dims, dtype=torch.float64) if dims else values.double()).cpu().numpy()
    return [row if lengths is None else row[: lengths[n]] for n, row in enumerate(summed)]


def place_values(
    value: Input, values: Values, token_spans: Sequence[tuple[int, int]], patch: int | None, domain: str, /
) -> tuple[NDArray[np.float32], Spans, float]:
    """Convert values per position to the values and spans of an attribution.

    Tokens are gathered to words. A pixel gets the value of its patch, or the bilinear interpolation of a map of another
    size. In any other modality or domain, each position is a part.

    value: the input.
    values: values from `sum_by_position`.
    token_spans: start and end of each token in the text; (0, 0) for special tokens.
    patch: side of a vision transformer's patches in pixels; None for other models.
    domain: domain of the model's features (`Encoded.domain`).
    Returns the values in the shape of the parts, the spans of the words, and the sum at special tokens.
    Raises `ConfigError` if the positions fit none of these cases.
    """
    texts = list_texts(value)
    if domain not in (EMBEDDINGS, PIXELS) or not (texts or domain == PIXELS):
        return _shape_as_parts(value, values, domain), (), 0.0
    if texts:
        words = spans_in(texts)
        special = sum(float(v) for v, span in zip(values, token_spans, strict=True) if tuple(span) == (0, 0))
        return gather(values.astype(np.float32), token_spans, words), words, special
    height, width = get_shape(list_parts(value))
    if values.ndim == 1:
        patches, special = _split_patches(values, height, width, patch)
        return patches.astype(np.float32), (), special
    return (values if values.shape == (height, width) else enlarge(values, height, width)).astype(np.float32), (), 0.0


def _shape_as_parts(value: Input, values: Values, domain: str) -> NDArray[np.float32]:
    """Return the values in the shape of the input's parts. Raises `ConfigError` if their numbers differ."""
    shape = get_shape(list_parts(value))
    if values.size != math.prod(shape):
        raise ConfigError(
            f"the model gives {list(values.shape)} values in its domain {domain!r}, and the input has parts in the shape {list(shape)}: "
            "they must be one for each part"
        )
    return values.astype(np.float32).reshape(shape)


def enlarge(map_HW: Values, height: int, width: int, /) -> Values:
    """Resize a map to [height, width] by bilinear interpolation."""
    import torch

    given = torch.as_tensor(map_HW)[None, None]
    made: Values = torch.nn.functional.interpolate(given, size=(height, width), mode="bilinear", align_corners=False)[0, 0].numpy()
    return made


def _split_patches(values_L: Values, height: int, width: int, patch: int | None) -> tuple[Values, float]:
    """Return the values of the patches as [height, width], and the sum of the special tokens.

    Pixels beyond the last whole patch, which the model ignores, get 0.

    values_L: values of the tokens; special tokens come first, then the patches row by row.
    height, width: size of the image in pixels.
    patch: side of a patch in pixels.
    Raises `ConfigError` if the number of tokens does not fit the image.
    """
    rows, columns = (height // patch, width // patch) if patch else (0, 0)
    if not 0 < rows * columns <= len(values_L) <= rows * columns + _MOST_SPECIAL:
        raise ConfigError(
            f"the model gives {len(values_L):,} positions for an image of {height} x {width} pixels, which are not its patches"
            f" (patch_size: {patch}); this needs a vision transformer whose tokens stay one a patch"
        )
    first, side = len(values_L) - rows * columns, patch or 0
    made = np.zeros((height, width))
    made[: rows * side, : columns * side] = values_L[first:].reshape(rows, columns).repeat(side, 0).repeat(side, 1)
    return made, float(values_L[:first].sum())
