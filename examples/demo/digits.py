"""scikit-learn's handwritten digits: 1,797 real scans of 8 x 8 pixels (Alpaydin & Kaynak 1998, UCI)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_EVERY = 5


def held_out() -> Iterator[dict[str, Any]]:
    """Every fifth scan, which the demo's model has not seen: ``image`` uint8 [8, 8], ``label`` 0..9."""
    return _scans(held=True)


def training() -> Iterator[dict[str, Any]]:
    """The other scans."""
    return _scans(held=False)


def _scans(*, held: bool) -> Iterator[dict[str, Any]]:
    from sklearn.datasets import load_digits

    scans = load_digits()
    for index, (pixels, label) in enumerate(zip(scans.images, scans.target, strict=True)):
        if (index % _EVERY == 0) is held:
            # Grey levels come as 0..16.
            yield {"image": np.round(pixels * (255 / 16)).astype(np.uint8), "label": int(label)}
