"""An array that is compared by content."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ContentArray:
    """An array that is compared and hashed by content, so that it can stand in a request and in a cache key."""

    def __init__(self, values: NDArray[np.generic]) -> None:
        # Always a copy: the caller may go on writing into its own array, and must not find it frozen either.
        values = np.array(values, order="C", copy=True)
        values.setflags(write=False)
        self._values = values

    @cached_property
    def digest(self) -> str:
        """SHA-256 over type, shape and bytes."""
        head = f"{type(self).__name__} {self._values.dtype.str} {self._values.shape} ".encode()
        return hashlib.sha256(head + self._values.tobytes()).hexdigest()

    @property
    def num_bytes(self) -> int:
        return self._values.nbytes

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickling forgets that an array must not be written to.
        state["_values"].setflags(write=False)
        self.__dict__.update(state)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values.shape}, {self._values.dtype}, {self.digest[:8]})"
