"""What is left of an input without some of its parts: words are cut out, pixels become the image's mean colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .inputs import Image
from .words import word_spans


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
