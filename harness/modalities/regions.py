"""Group parts into regions: removing single pixels hardly changes a model's output, and there are too many to try."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Parts


def find_regions(parts: Parts, grid: int, /) -> NDArray[np.intp]:
    """Return the index of each part's region, in the shape of the parts.

    parts: parts of an input. Each part of a sequence is a region of its own; an array is divided by `make_grid`.
    grid: number of regions per side.
    """
    return make_grid(parts.shape, grid) if isinstance(parts, np.ndarray) else np.arange(len(parts))


def make_grid(shape: tuple[int, ...], grid: int, /) -> NDArray[np.intp]:
    """Divide an array into a grid and return the index of each cell's region; regions are numbered row by row.

    shape: shape of the array and of the result.
    grid: number of regions per side. A side with fewer cells has one region per cell.
    """
    found = np.zeros((1,) * len(shape), dtype=np.intp)
    for axis, side in enumerate(shape):
        num = min(grid, side)
        place = np.arange(side) * num // side
        found = found * num + place.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return found
