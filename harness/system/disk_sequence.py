"""A sequence on disk: values are pickled in blocks to an anonymous temporary file, and read back block by block.

Samples and rows are read once and then iterated many times. As Python objects, a million of them take gigabytes.
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
"""Size below which no file is created."""

_BLOCK_LENGTH = 256
_BLOCK_BYTES = 2**20


class Spool(Sequence[T]):
    """An immutable sequence on disk. A slice is a view. Each access to another block unpickles new copies.

    If a value cannot be pickled (a plugin may put anything into a sample's metadata), all values stay in memory.
    """

    def __init__(self, blocks: _Blocks[T] | Sequence[T], indices: range) -> None:
        self._blocks = blocks
        self._indices = indices

    @classmethod
    def of(cls, values: Iterable[T], /, block_length: int = 0) -> Spool[T]:
        """Write the values of an iterable, one at a time. Passes on its exceptions.

        block_length: values per block, default 256; choose a small one for random access, which reads whole blocks.
        """
        blocks: _Blocks[T] = _Blocks(block_length or _BLOCK_LENGTH)
        stream = iter(values)
        for value in stream:
            if not blocks.add(value):
                rest = [*blocks.all(), value, *stream]
                return cls(rest, range(len(rest)))
        blocks.finish()
        return cls(blocks, range(len(blocks)))

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int, /) -> T: ...

    @overload
    def __getitem__(self, index: slice, /) -> Spool[T]: ...

    def __getitem__(self, index: int | slice, /) -> T | Spool[T]:
        if isinstance(index, slice):
            return Spool(self._blocks, self._indices[index])
        return self._blocks[self._indices[index]]

    def __iter__(self) -> Iterator[T]:
        return (self._blocks[index] for index in self._indices)


class _Blocks(Sequence[T]):
    """The file, the offsets of its blocks, and the block that was read last."""

    def __init__(self, length: int) -> None:
        self._block_length = length
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed by the finalizer
        weakref.finalize(self, self._file.close)
        self._firsts: list[int] = []  # index of each block's first value
        self._offsets: list[int] = [0]
        self._length = 0
        self._read: tuple[int, list[T]] = (-1, [])
        self._begin()

    def _begin(self) -> None:
        self._buffer = io.BytesIO()
        self._pending: list[T] = []
        # One pickler per block, which writes shared objects, such as class names, once.
        self._pickler = pickle.Pickler(self._buffer, pickle.HIGHEST_PROTOCOL)

    def add(self, value: T, /) -> bool:
        """Append a value. Returns False if it cannot be pickled."""
        try:
            self._pickler.dump(value)
        except RecursionError:
            raise  # nested too deep for any way of storing it
        except BaseException as error:
            if is_interrupt(error):
                raise
            # Pickling a plugin's value may raise any exception.
            return False
        self._pending.append(value)
        if len(self._pending) == self._block_length or self._buffer.tell() >= _BLOCK_BYTES:
            self.finish()
        return True

    def finish(self) -> None:
        """Write the current block."""
        if self._pending:
            self._file.write(self._buffer.getbuffer())
            self._firsts.append(self._length)
            self._length += len(self._pending)
            self._offsets.append(self._offsets[-1] + self._buffer.tell())
        self._begin()

    def all(self) -> list[T]:
        """Return the values of the finished blocks and of the current one."""
        pending = self._pending
        return [*(self[index] for index in range(self._length)), *pending]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any, /) -> Any:
        block = bisect_right(self._firsts, index) - 1
        if self._read[0] != block:
            self._file.seek(self._offsets[block])
            text = self._file.read(self._offsets[block + 1] - self._offsets[block])
            last = self._firsts[block + 1] if block + 1 < len(self._firsts) else self._length
            # Safe to unpickle: this process wrote the file, and it has no name.
            reader = pickle.Unpickler(io.BytesIO(text))  # noqa: S301
            self._read = (block, [reader.load() for _ in range(last - self._firsts[block])])
        return self._read[1][index - self._firsts[block]]
