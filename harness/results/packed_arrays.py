"""Arrays of numbers as compact JSON: each array stands once, in the smallest type that holds its values exactly."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api.errors import ConfigError

_SMALLER = ("u1", "i1", "i2", "u2", "i4", "f4")
"""Types to store an array in, from the smallest. An array that none holds exactly keeps its own type."""

_TYPES = frozenset({"b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"})
_LARGEST = 256 * 2**20
"""The largest total size of the unpacked arrays of a file, in bytes."""


class ArrayWriter:
    """Collects arrays, and numbers them from 0; an array that was added before keeps its number.

    ``entries``: the JSON value of each array: type, type in the file, shape, and data (zlib, base64).
    """

    def __init__(self) -> None:
        self.entries: list[list[Any]] = []
        self._known: dict[tuple[str, ...], int] = {}

    def add(self, values: NDArray[Any], /) -> int:
        """Add an array and return its number. Raises `TypeError` for an array of anything but numbers."""
        kind = values.dtype.str.lstrip("<|=")
        if kind not in _TYPES:
            raise TypeError(f"an array of {values.dtype} cannot be packed")
        stored = next((smaller for smaller in _SMALLER if _holds(values, smaller)), kind)
        packed = zlib.compress(values.astype(f"<{stored}").tobytes(), 9)
        entry = [kind, stored, list(values.shape), base64.b64encode(packed).decode("ascii")]
        key = tuple(map(str, entry))
        if key not in self._known:
            self._known[key] = len(self.entries)
            self.entries.append(entry)
        return self._known[key]


def _holds(values: NDArray[Any], smaller: str) -> bool:
    """Tell whether a smaller type holds all values exactly, the sign of zero included."""
    if np.dtype(smaller).itemsize >= values.dtype.itemsize:
        return False
    with np.errstate(all="ignore"):
        back = values.astype(smaller).astype(values.dtype)
    return back.tobytes() == values.tobytes()


def read_arrays(entries: Sequence[Any], /) -> list[NDArray[Any]]:
    """Unpack the arrays of `ArrayWriter.entries`. Raises `ConfigError` for any other value, and for too large arrays."""
    left, arrays = _LARGEST, []
    for number, entry in enumerate(entries):
        try:
            array = _read_array(entry, left)
        except (TypeError, ValueError, zlib.error, binascii.Error) as error:
            raise ConfigError(f"array {number} is broken ({error})") from error
        left -= array.nbytes
        arrays.append(array)
    return arrays


def _read_array(entry: Any, most: int) -> NDArray[Any]:
    """Unpack an array of at most ``most`` bytes. The data may claim to be small and unpack to gigabytes."""
    kind, stored, shape, data = entry
    if kind not in _TYPES or stored not in _TYPES or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError("its type or shape is unknown")
    num = math.prod(shape)
    num_bytes = num * np.dtype(stored).itemsize
    if max(num_bytes, num * np.dtype(kind).itemsize) > most:
        raise ValueError(f"the arrays of a baseline take at most {_LARGEST >> 20} MiB")
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(base64.b64decode(data, validate=True), num_bytes + 1)
    if len(unpacked) != num_bytes or not unpacker.eof:
        raise ValueError(f"it does not hold {num:,} numbers")
    return np.frombuffer(unpacked, dtype=f"<{stored}").astype(kind).reshape(shape)
