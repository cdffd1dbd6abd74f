"""Texts on disk: written one after the other to an anonymous temporary file, and read in any order."""

from __future__ import annotations

import tempfile
import weakref
from array import array
from typing import Any

IN_MEMORY_BYTES = 4 * 2**20
"""Size below which no file is created."""


class DiskTexts:
    """A list of texts as UTF-8 bytes, of which only the places are in memory.

    `disk_sequence.Spool` holds any values, and takes ten times as long to read one.
    """

    def __init__(self) -> None:
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed by the finalizer
        weakref.finalize(self, self._file.close)
        self._ends = array("Q", [0])

    def append(self, text: str, /) -> None:
        """Add a text. All texts are added before the first one is read."""
        content = text.encode()
        if content:
            self._file.write(content)
        self._ends.append(self._ends[-1] + len(content))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def size(self, place: int, /) -> int:
        """Return the number of bytes of a text."""
        return self._ends[place + 1] - self._ends[place]

    def __getitem__(self, place: int, /) -> bytes:
        size = self.size(place)
        if not size:
            return b""
        self._file.seek(self._ends[place])
        content: bytes = self._file.read(size)
        return content
