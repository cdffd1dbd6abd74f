"""Parts taken together: single pixels are noise to a model, and too many to try each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Parts


def regions_of(parts: Parts, grid: int, /) -> NDArray[np.intp]:
    """Return each part's region, in the shape of the parts: of a sequence, every part is its own; of an array, see `grid_map`."""
    return grid_map(parts.shape, grid) if isinstance(parts, np.ndarray) else np.arange(len(parts))


def grid_map(shape: tuple[int, ...], grid: int, /) -> NDArray[np.intp]:
    """Return the number of each cell's region, row by row: ``grid`` regions a side, or a cell each where those are fewer."""
    found = np.zeros((1,) * len(shape), dtype=np.intp)
    for axis, side in enumerate(shape):
        num = min(grid, side)
        place = np.arange(side) * num // side
        found = found * num + place.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return found
