"""The axis of differences between rates: points around zero."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..values import POINTS
from .svg import Axis, choose_step

_LEAST = 0.01
"""The axis reaches at least one point to each side."""


def choose_difference_axis(values: Iterable[float], /) -> Axis:
    """Choose the axis that bars of several differences share, with zero in its middle. ``values``: their numbers and thresholds."""
    reach = max([_LEAST, *(abs(value) for value in values if math.isfinite(value))])
    step = choose_step(reach, 2)
    end = min(1.0, step * math.ceil(reach / step - 1e-9))
    last = round(end / step)
    return Axis(-end, end, tuple((step * place, POINTS.format_tick(step * place, step)) for place in range(-last, last + 1)))
