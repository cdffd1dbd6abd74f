"""Many values in little memory: in blocks in a temporary file without a name, read back a block at a time.

Samples and rows are read once and then gone over many times, item after item. As Python objects a million of them take gigabytes.
"""

from __future__ import annotations

import io
import pickle
import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

from .interrupts import is_interrupt

T = TypeVar("T")

IN_MEMORY_BYTES = 4 * 2**20
"""What stays in memory before there is a file at all."""

_BLOCK_LENGTH = 256
_BLOCK_BYTES = 2**20


class Spool(Sequence[T]):
    """A sequence that cannot be changed; a slice is a view of it. A value is a copy, made anew whenever its block is read.

    Values that cannot be pickled (a plugin may put anything into a sample's metadata) are kept in memory, all of them.
    """

    def __init__(self, blocks: _Blocks[T] | Sequence[T], places: range) -> None:
        self._blocks = blocks
        self._places = places

    @classmethod
    def of(cls, values: Iterable[T], /, block_length: int = 0) -> Spool[T]:
        """Takes one value after the other from ``values``; what that raises is raised here. ``block_length``: in place of the usual one, a
        small one where values are asked for in any order, since a block is read whole."""
        blocks: _Blocks[T] = _Blocks(block_length or _BLOCK_LENGTH)
        stream = iter(values)
        for value in stream:
            if not blocks.add(value):
                rest = [*blocks.all(), value, *stream]
                return cls(rest, range(len(rest)))
        blocks.finish()
        return cls(blocks, range(len(blocks)))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int, /) -> T: ...

    @overload
    def __getitem__(self, place: slice, /) -> Spool[T]: ...

    def __getitem__(self, place: int | slice, /) -> T | Spool[T]:
        if isinstance(place, slice):
            return Spool(self._blocks, self._places[place])
        return self._blocks[self._places[place]]

    def __iter__(self) -> Iterator[T]:
        return (self._blocks[place] for place in self._places)


class _Blocks(Sequence[T]):
    """The file, where each block begins, and the block that was read last."""

    def __init__(self, length: int) -> None:
        self._block_length = length
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed by the finalizer
        weakref.finalize(self, self._file.close)
        self._firsts: list[int] = []  # place of each block's first value
        self._offsets: list[int] = [0]
        self._length = 0
        self._read: tuple[int, list[T]] = (-1, [])
        self._begin()

    def _begin(self) -> None:
        self._buffer = io.BytesIO()
        self._pending: list[T] = []
        # One pickler a block: what its values share, the names of the classes for one, is written once.
        self._pickler = pickle.Pickler(self._buffer, pickle.HIGHEST_PROTOCOL)

    def add(self, value: T, /) -> bool:
        """Whether it could be pickled."""
        try:
            self._pickler.dump(value)
        except RecursionError:
            raise  # too deep for any way of keeping it, and not to be kept in memory with all that follows
        except BaseException as error:
            if is_interrupt(error):
                raise
            # A value of a plugin's may fail in any way when it is pickled.
            return False
        self._pending.append(value)
        if len(self._pending) == self._block_length or self._buffer.tell() >= _BLOCK_BYTES:
            self.finish()
        return True

    def finish(self) -> None:
        """Write the block that was begun."""
        if self._pending:
            self._file.write(self._buffer.getbuffer())
            self._firsts.append(self._length)
            self._length += len(self._pending)
            self._offsets.append(self._offsets[-1] + self._buffer.tell())
        self._begin()

    def all(self) -> list[T]:
        """Those of the finished blocks, and the pending ones."""
        pending = self._pending
        return [*(self[place] for place in range(self._length)), *pending]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: Any, /) -> Any:
        block = bisect_right(self._firsts, place) - 1
        if self._read[0] != block:
            self._file.seek(self._offsets[block])
            text = self._file.read(self._offsets[block + 1] - self._offsets[block])
            last = self._firsts[block + 1] if block + 1 < len(self._firsts) else self._length
            # No stranger's file: this process wrote it, and it has no name.
            reader = pickle.Unpickler(io.BytesIO(text))  # noqa: S301
            self._read = (block, [reader.load() for _ in range(last - self._firsts[block])])
        return self._read[1][place - self._firsts[block]]
