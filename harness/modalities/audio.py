"""A waveform."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .array import ContentArray


class Audio(ContentArray):
    """A waveform. ``samples`` is float32 [T] in [-1, 1]; ``rate`` in Hz."""

    def __init__(self, samples: NDArray[np.generic], rate: int) -> None:
        super().__init__(np.asarray(samples, dtype=np.float32))
        self.rate = rate

    @property
    def samples(self) -> NDArray[np.generic]:
        return self._values

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.rate} {hashlib.sha256(self._values.tobytes()).hexdigest()}".encode()).hexdigest()
