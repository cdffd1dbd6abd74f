"""The audio modality: waveforms."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .array import ContentArray
from .base import Modality, Shown

_POSITIONS = 50
"""Positions per second: speech models usually have one per 20 ms."""


class Audio(ContentArray):
    """A waveform.

    samples: amplitudes [T] in [-1, 1], stored as float32.
    rate: sampling rate in Hz.
    """

    def __init__(self, samples: NDArray[np.generic], rate: int) -> None:
        super().__init__(np.asarray(samples, dtype=np.float32))
        self.rate = rate

    @property
    def samples(self) -> NDArray[np.generic]:
        """Amplitudes, float32 [T]."""
        return self._values

    @cached_property
    def digest(self) -> str:
        """SHA-256 of rate and samples."""
        return hashlib.sha256(f"{self.rate} {hashlib.sha256(self._values.tobytes()).hexdigest()}".encode()).hexdigest()

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self._values) / self.rate


class AudioModality(Modality[Audio]):
    """The modality of waveforms, with 50 positions per second. It has no parts."""

    name = "audio"
    type = Audio

    def size(self, value: Audio, /) -> int:
        return max(1, round(value.seconds * _POSITIONS))

    def preview(self, value: Audio, /) -> Shown:
        return Shown(self.name, text=f"{value.seconds:.1f} s at {value.rate} Hz")

    def to_json(self, value: Audio, /) -> Any:
        return [value.samples, value.rate]

    def from_json(self, facts: Any, /) -> Audio:
        return Audio(*facts)

    def num_bytes(self, value: Audio, /) -> int:
        return value.num_bytes
