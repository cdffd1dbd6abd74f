"""Groups of rows for gradient passes, which plugins build themselves; groups shrink if memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from .counters import Counters
from .out_of_memory import is_out_of_memory, release_memory
from .packing import Budget, pack

T = TypeVar("T")


class Groups:
    """Group sizes for the gradient passes of one engine. A backward pass takes more memory per position than a request."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._parts = 1

    def of(self, lengths: Sequence[int], budget: Budget, /) -> list[list[int]]:
        """Return groups of indices of rows, from their lengths in tokens."""
        return pack(lengths, budget.part(self._parts))

    def in_memory(self, work: Callable[[], T], budget: Budget, /) -> T:
        """Run ``work``, and repeat it with half the group size while memory runs out.

        If groups of one row do not fit either, the group size is reset and the error is raised.
        """
        before = self._parts
        while True:
            try:
                return work()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if budget.part(self._parts).rows == 1:
                    # One text that is too long must not reduce the group size for all others.
                    self._parts = before
                    raise
            # Outside of the except clause, the exception no longer references the tensors of the failed pass.
            self._parts *= 2
            self._counters.oom_splits += 1
            release_memory()
