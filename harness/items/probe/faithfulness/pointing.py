"""Whether the attribution's maximum lies on the object: the pointing game (Zhang et al. 2018, Top-down Neural Attention by Excitation
Backprop, section 4.2).

A sample's boxes are in its ``metadata["boxes"]``: left, top, right and bottom of each, as shares of the image's width and height, so that
they hold at whatever size the model sees. A maximum within `TOLERANCE` pixels of a box still counts, as in the paper; on images whose
longer side is below `FULL_SIZE` pixels the tolerance is less in proportion.
"""

from __future__ import annotations

import numpy as np

from .scored_attribution import Ranking, Subject

TOLERANCE = 15
FULL_SIZE = 224


def pointing_scores(subject: Subject, /) -> dict[str, float]:
    """``pointing_game``: 1 for a hit, 0 else. Empty where there are no boxes, and where another class than the sample's own is explained:
    the boxes are of that one. Of equal maxima the first, row by row, is the one that points."""
    boxes = subject.sample.metadata.get("boxes", ())
    if not boxes or subject.attribution.parts != "pixels" or subject.attribution.target != subject.sample.target:
        return {}
    height, width = subject.attribution.values.shape
    slack = TOLERANCE * min(1.0, max(height, width) / FULL_SIZE)
    return {f"pointing_game{suffix}": float(_hits(ranking, boxes, height, width, slack)) for suffix, ranking in subject.rankings.items()}


def _hits(ranking: Ranking, boxes: object, height: int, width: int, slack: float) -> bool:
    row, column = divmod(int(ranking.order[0]), width)
    left, top, right, bottom = (np.asarray(boxes, dtype=np.float64) * (width, height, width, height)).T
    # The pixel's middle.
    x, y = column + 0.5, row + 0.5
    return bool(((left - slack <= x) & (x <= right + slack) & (top - slack <= y) & (y <= bottom + slack)).any())
