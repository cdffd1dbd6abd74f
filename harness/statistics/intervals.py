"""Intervals, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Numbers = NDArray[Any]

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
"""Allowed probability that the whole interval is below, or above, the true value."""
Z = NormalDist().inv_cdf(1 - TAIL)


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval from ``low`` to ``high``; both None, with the ``reason``, if there is none."""

    low: float | None
    high: float | None
    reason: str = ""

    @classmethod
    def none(cls, why: str) -> Interval:
        """Return an empty interval: there are too few samples, groups or classes for the promised coverage."""
        return cls(None, None, f"too few to bound: {why}")

    def mapped(self, function: Any) -> Interval:
        """Apply an increasing function to the bounds."""
        if self.low is None or self.high is None:
            return self
        return Interval(float(function(self.low)), float(function(self.high)))

    def within(self, low: float, high: float) -> Interval:
        """Clip the bounds to the range from ``low`` to ``high``."""
        return self if self.low is None or self.high is None else Interval(max(low, self.low), min(high, self.high))
