"""Passes that are no requests (gradients): plugins make them up from groups of rows, which are smaller where memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from .counters import Counters
from .out_of_memory import is_out_of_memory, release_memory
from .packing import Budget, pack

T = TypeVar("T")


class Groups:
    """Of one engine, whose counters these are. A pass on the way back takes more memory a position than an answer does."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._parts = 1

    def of(self, lengths: Sequence[int], budget: Budget, /) -> list[list[int]]:
        return pack(lengths, budget.part(self._parts))

    def in_memory(self, work: Callable[[], T], budget: Budget, /) -> T:
        """What ``work`` gives. Where memory runs out, groups are halved from then on and it is done again; where groups of one row do not
        fit either, they are as before, and the error is the work's."""
        before = self._parts
        while True:
            try:
                return work()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if budget.part(self._parts).rows == 1:
                    # One text that is too long must not leave every short one alone in its pass.
                    self._parts = before
                    raise
            # Only now, with the exception gone, does nothing hold the failed pass's tensors any more.
            self._parts *= 2
            self._counters.oom_splits += 1
            release_memory()
