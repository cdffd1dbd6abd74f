"""Load scikit-learn's handwritten digits: 1,797 scans of 8 x 8 pixels (Alpaydin & Kaynak 1998, UCI)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEST_STRIDE = 5


def held_out() -> Iterator[dict[str, Any]]:
    """Yield every fifth scan, which is not in the training set: ``image`` uint8 [8, 8], ``label`` 0..9."""
    return _load_scans(held=True)


def training() -> Iterator[dict[str, Any]]:
    """Yield the scans of the training set."""
    return _load_scans(held=False)


def _load_scans(*, held: bool) -> Iterator[dict[str, Any]]:
    from sklearn.datasets import load_digits

    scans = load_digits()
    for index, (pixels, label) in enumerate(zip(scans.images, scans.target, strict=True)):
        if (index % _TEST_STRIDE == 0) is held:
            # scikit-learn's grey levels are 0..16.
            yield {"image": np.round(pixels * (255 / 16)).astype(np.uint8), "label": int(label)}
