"""Arrays that are compared by content."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ContentArray:
    """A read-only array that is compared and hashed by content, so that it can be part of a request and a cache key.

    values: array of any shape and type; it is copied.
    """

    def __init__(self, values: NDArray[np.generic]) -> None:
        # Always a copy: the caller's array stays writable, and later writes to it do not change this one.
        values = np.array(values, order="C", copy=True)
        values.setflags(write=False)
        self._values = values

    @cached_property
    def digest(self) -> str:
        """SHA-256 of type, shape and bytes."""
        head = f"{type(self).__name__} {self._values.dtype.str} {self._values.shape} ".encode()
        return hashlib.sha256(head + self._values.tobytes()).hexdigest()

    @property
    def num_bytes(self) -> int:
        """Size of the array in bytes."""
        return self._values.nbytes

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickling loses the read-only flag.
        state["_values"].setflags(write=False)
        self.__dict__.update(state)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values.shape}, {self._values.dtype}, {self.digest[:8]})"
