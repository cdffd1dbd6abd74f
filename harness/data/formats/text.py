"""Plain text: a row a line, a paragraph or a file, in the column ``text``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from .opened import open_text
from .rows import Contents, Row, keep_rows


@dataclass(frozen=True, kw_only=True)
class Text:
    """Lines without their ends; an empty line is a row, too.

    ``sample_by``: what a row is: a line, a paragraph (what stands between blank lines), or a document (the whole file, as it is).
    ``encoding``: where it is not UTF-8.
    """

    sample_by: Literal["line", "paragraph", "document"] = "line"
    encoding: str = ""

    def read(self, paths: Sequence[Path], /) -> Contents:
        def rows() -> Iterator[Row]:
            for path in paths:
                with open_text(path, self.encoding) as stream:
                    for text in self._texts(stream):
                        yield {"text": text}

        return Contents(keep_rows(rows()), ("text",))

    def _texts(self, stream: TextIO) -> Iterator[str]:
        if self.sample_by == "document":
            yield stream.read()
        elif self.sample_by == "line":
            yield from (line.removesuffix("\n") for line in stream)
        else:
            yield from _paragraphs(stream)


def _paragraphs(lines: TextIO) -> Iterator[str]:
    held: list[str] = []
    for line in lines:
        if line.strip():
            held.append(line)
        elif held:
            yield "".join(held).removesuffix("\n")
            held = []
    if held:
        yield "".join(held).removesuffix("\n")
