"""Plain text: one row per line, paragraph or file, in the column ``text``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from .open_files import open_text
from .rows import Contents, Row, keep_rows


@dataclass(frozen=True, kw_only=True)
class Text:
    """Lines without line breaks. An empty line is a row, too.

    sample_by: unit of a row: a line, a paragraph (text between blank lines), or a document (the whole file, unchanged).
    encoding: default UTF-8.
    """

    sample_by: Literal["line", "paragraph", "document"] = "line"
    encoding: str = ""

    def read(self, paths: Sequence[Path], /) -> Contents:
        def rows() -> Iterator[Row]:
            for path in paths:
                with open_text(path, self.encoding) as stream:
                    for text in self._read_texts(stream):
                        yield {"text": text}

        return Contents(keep_rows(rows()), ("text",))

    def _read_texts(self, stream: TextIO) -> Iterator[str]:
        if self.sample_by == "document":
            yield stream.read()
        elif self.sample_by == "line":
            yield from (line.removesuffix("\n") for line in stream)
        else:
            yield from _split_paragraphs(stream)


def _split_paragraphs(lines: TextIO) -> Iterator[str]:
    paragraph: list[str] = []
    for line in lines:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield "".join(paragraph).removesuffix("\n")
            paragraph = []
    if paragraph:
        yield "".join(paragraph).removesuffix("\n")
