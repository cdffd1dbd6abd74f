"""Test whether the maximum of an attribution is on the object.

This is the pointing game (Zhang et al. 2018, Top-down Neural Attention by Excitation Backprop, section 4.2).

The boxes of a sample are in ``metadata["boxes"]``: left, top, right and bottom of each, as fractions of the image's
width and height, so that they are valid for any size that the model uses. A maximum within `TOLERANCE` pixels of a box
is a hit, as in the paper. If the longer side of the image is below `FULL_SIZE` pixels, the tolerance is reduced in
proportion.
"""

from __future__ import annotations

import numpy as np

from .scored_attribution import Ranking, Subject

TOLERANCE = 15
FULL_SIZE = 224


def compute_pointing_game(subject: Subject, /) -> dict[str, float]:
    """Compute ``pointing_game`` for the attribution and its controls: 1 for a hit, otherwise 0.

    The result is empty if the sample has no boxes, or if the explained class is not the sample's target, to which the
    boxes belong. Of several equal maxima, the first in row-major order counts.
    """
    boxes = subject.sample.metadata.get("boxes", ())
    if not boxes or subject.attribution.parts != "pixels" or subject.attribution.target != subject.sample.target:
        return {}
    height, width = subject.attribution.values.shape
    slack = TOLERANCE * min(1.0, max(height, width) / FULL_SIZE)
    return {f"pointing_game{suffix}": float(_is_hit(ranking, boxes, height, width, slack)) for suffix, ranking in subject.rankings.items()}


def _is_hit(ranking: Ranking, boxes: object, height: int, width: int, slack: float) -> bool:
    """Tell whether the top pixel is within ``slack`` pixels of a box."""
    row, column = divmod(int(ranking.order[0]), width)
    left, top, right, bottom = (np.asarray(boxes, dtype=np.float64) * (width, height, width, height)).T
    # Boxes have continuous coordinates, so a pixel counts by its center.
    x, y = column + 0.5, row + 0.5
    return bool(((left - slack <= x) & (x <= right + slack) & (top - slack <= y) & (y <= bottom + slack)).any())
