"""The audio modality: waveforms."""

from __future__ import annotations

import base64
import hashlib
import io
import wave
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .array import ContentArray
from .base import Modality, Shown

_POSITIONS = 50
"""Positions per second: speech models usually have one per 20 ms."""
_LONGEST_SHOWN_S = 30
"""The longest sound in a preview: 1 MB at 16 kHz."""


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
        text = f"{value.seconds:.1f} s at {value.rate} Hz"
        return Shown(self.name, text=text, audio=encode_wav(value) if 0 < value.seconds <= _LONGEST_SHOWN_S else "")

    def to_json(self, value: Audio, /) -> Any:
        return [value.samples, value.rate]

    def from_json(self, facts: Any, /) -> Audio:
        return Audio(*facts)

    def num_bytes(self, value: Audio, /) -> int:
        return value.num_bytes


def encode_wav(audio: Audio, /) -> str:
    """Return a data URI with the waveform as WAV, 16 bits a sample."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.rate)
        file.writeframes((np.nan_to_num(audio.samples).clip(-1, 1) * 32767).astype("<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()
