"""What is left of an input without some of its parts: words are cut out or masked, pixels become the image's mean colour or are blurred.

What "removed" means decides what an attribution is measured by, so there are two ways for each kind of input (`WAYS`), the plainer first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .image import Image
from .inputs import Input
from .text import TextPair
from .words import Spans, split_spans, word_spans

WAYS = {"text": ("cut", "mask"), "pair": ("cut", "mask"), "image": ("mean", "blur")}
"""By modality (`inputs.modality`)."""

_BLUR = 1 / 16
"""The blur's standard deviation, as a share of the image's longer side: 14 of 224 pixels, where shapes are gone and colours are not."""


def removed(value: Input, spans: Spans, hidden_P: NDArray[np.bool_], way: str, /, token: str = "") -> Input:
    """The input without its hidden parts. P: words at ``spans`` of a text or a pair, or the pixels of an image, row by row.

    ``token``: what stands in a masked word's place.
    """
    if isinstance(value, Image):
        kept_HW = ~hidden_P.reshape(value.pixels.shape[:2])
        return blurred(value, kept_HW) if way == "blur" else in_mean_colour(value, kept_HW)
    if isinstance(value, TextPair):
        first, second = split_spans(value, spans)
        at = len(first)
        return TextPair(
            str(removed(value.first, first, hidden_P[:at], way, token)), str(removed(value.second, second, hidden_P[at:], way, token))
        )
    gone = [span for span, is_hidden in zip(spans, hidden_P, strict=True) if is_hidden]
    return masked(str(value), gone, token) if way == "mask" else without(str(value), gone)


def alone(value: Input, spans: Spans, shown_P: NDArray[np.bool_], way: str, /, token: str = "") -> Input:
    """The input with these parts only: of a text that is cut, the words with a space between them."""
    if way != "cut":
        return removed(value, spans, ~shown_P, way, token)
    if isinstance(value, TextPair):
        first, second = split_spans(value, spans)
        at = len(first)
        return TextPair(str(alone(value.first, first, shown_P[:at], way)), str(alone(value.second, second, shown_P[at:], way)))
    text = str(value)
    return " ".join(text[start:end] for (start, end), is_shown in zip(spans, shown_P, strict=True) if is_shown)


def without(text: str, spans: Sequence[tuple[int, int]], /) -> str:
    """The text with these spans cut out, in order. Nothing else changes but at the cuts.

    Of the space around a cut, that before it stays; where the cut would join two words, a space comes between them.
    """
    made, at = "", 0
    for start, end in [*spans, (len(text), len(text))]:
        piece = text[at:start]
        if at and piece and (not made or made[-1].isspace()):
            piece = piece.lstrip()
        if made and piece and len(word_spans(made[-1] + piece[0])) == 1 and not made[-1].isspace() and not piece[0].isspace():
            piece = " " + piece
        made, at = made + piece, end
    return made.rstrip() if spans and not text[spans[-1][1] :].strip() else made


def in_mean_colour(image: Image, kept_HW: NDArray[np.bool_], /) -> Image:
    """The image with the pixels that are not kept in its mean colour (of a uint8 image, rounded)."""
    mean = image.pixels.mean(axis=(0, 1), keepdims=True, dtype=np.float64)
    colour = np.round(mean) if image.pixels.dtype == np.uint8 else mean
    return Image(np.where(kept_HW[:, :, None], image.pixels, colour.astype(image.pixels.dtype)))


def masked(text: str, spans: Sequence[tuple[int, int]], token: str, /) -> str:
    """The text with the token in the place of each of these spans."""
    made, at = "", 0
    for start, end in spans:
        made, at = made + text[at:start] + token, end
    return made + text[at:]


def blurred(image: Image, kept_HW: NDArray[np.bool_], /) -> Image:
    """The image with the pixels that are not kept as they are in a Gaussian blur of all of it (of a uint8 image, rounded)."""
    pixels = image.pixels.astype(np.float64)
    deviation = _BLUR * max(pixels.shape[:2])
    for axis in (0, 1):
        size = pixels.shape[axis]
        distance = np.arange(size)[:, None] - np.arange(size)
        # Weights that sum to 1 at the border too, so that it does not grow dark.
        weights = np.exp(-0.5 * (distance / deviation) ** 2)
        pixels = np.moveaxis(np.tensordot(weights / weights.sum(1, keepdims=True), pixels, (1, axis)), 0, axis)
    colour = np.round(pixels) if image.pixels.dtype == np.uint8 else pixels
    return Image(np.where(kept_HW[:, :, None], image.pixels, colour.astype(image.pixels.dtype)))
