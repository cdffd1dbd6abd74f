"""An interval, or the reason why there is none."""

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
"""The share of samples whose interval may lie wholly on one side of the truth."""
Z = NormalDist().inv_cdf(1 - TAIL)


@dataclass(frozen=True, slots=True)
class Interval:
    """``low`` and ``high``, or neither and the ``reason``."""

    low: float | None
    high: float | None
    reason: str = ""

    @classmethod
    def none(cls, why: str) -> Interval:
        """No bounds: too few samples, groups or classes for an interval that would cover what it promises."""
        return cls(None, None, f"too few to bound: {why}")

    def mapped(self, function: Any) -> Interval:
        """The bounds through an increasing function."""
        if self.low is None or self.high is None:
            return self
        return Interval(float(function(self.low)), float(function(self.high)))

    def within(self, low: float, high: float) -> Interval:
        """The bounds, none of them beyond these."""
        return self if self.low is None or self.high is None else Interval(max(low, self.low), min(high, self.high))
