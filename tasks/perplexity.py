"""Measure the perplexity of whole documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Literal, Unpack

from ..harness.api.errors import ConfigError, SampleError
from ..harness.api.requests import RollingLogLikelihood
from ..harness.api.responses import LogProb
from ..harness.api.samples import Sample
from ..harness.data import DataSpec, Row
from .base import Common, Item, RowTask
from .cloze import count_text
from .fields import Field

_TITLE = re.compile(r" ?= [^=](?:.*[^=])? = ?")


class Perplexity(RowTask):
    """Score whole documents, with one `RollingLogLikelihood` request each.

    Scores: ``loglikelihood``, ``num_tokens``, ``num_words``, ``num_bytes``. The metrics ``token_perplexity``,
        ``word_perplexity``, ``byte_perplexity`` and ``bits_per_byte`` are computed from them. Words and bytes
        are counted in the original text, even if ``scored`` changes it.

    text: field with the text.
    documents: what a document is: ``rows`` (each row), ``all`` (all rows, joined by line ends) or
        ``wikitext`` (rows are lines, and a page starts at a ``= Title =`` between blank lines).
    scored: template over ``text``, the document, for the text that the model reads, e.g. ``"{{ text |
        wikitext_detokenize }}"``.
    min_context: minimum number of context tokens of a window; see `RollingLogLikelihood`.
    """

    requires = frozenset({"rolling_loglikelihood", "text"})
    default_metrics: ClassVar[tuple[str, ...]] = ("word_perplexity", "byte_perplexity", "bits_per_byte")

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        text: str = "text",
        documents: Literal["rows", "all", "wikitext"] = "rows",
        scored: str = "",
        min_context: int = 1,
        **common: Unpack[Common],
    ) -> None:
        if min_context < 1:
            raise ConfigError(f"min_context must be at least 1, not {min_context}")
        if documents != "rows" and (common.get("id") or common.get("group")):
            raise ConfigError(f"documents: {documents} joins rows, so id and group have no row to read; omit them")
        self._text, self._scored = Field("text", text), Field("scored", scored or "text")
        unknown = self._scored.columns - {"text"}
        if unknown:
            raise ConfigError(f"scored must be a template over 'text' (the document), not over {', '.join(sorted(unknown))}")
        self._documents, self._min_context = documents, min_context
        super().__init__(name, data, [self._text], **common)

    @cached_property
    def _joined_rows(self) -> list[Row]:
        lines = (self._read_line(row) for row in self.rows.rows)
        documents = [list(lines)] if self._documents == "all" else split_pages(lines)
        # A line without text (a SampleError) fails its own document only.
        return [
            {"document": next((line for line in document if isinstance(line, SampleError)), None) or "\n".join(map(str, document)) + "\n"}
            for document in documents
        ]

    def _read_line(self, row: Row) -> str | SampleError:
        try:
            return self._text.text(row).removesuffix("\n")
        except SampleError as error:
            return error

    def units(self) -> Sequence[Row]:
        return self.rows.rows if self._documents == "rows" else self._joined_rows

    def build(self, row: Row) -> Item:
        if self._documents == "rows":
            return Item(self._text.text(row))
        if isinstance(row["document"], SampleError):
            raise row["document"]
        return Item(row["document"])

    def ask(self, sample: Sample) -> list[RollingLogLikelihood]:
        return [RollingLogLikelihood(self._scored.text({"text": sample.input}), self._min_context)]

    def score(self, sample: Sample, responses: Sequence[LogProb], /) -> dict[str, float | None]:
        (answer,) = responses
        return {**count_text(str(sample.input), answer)}

    def predict(self, sample: Sample, responses: Sequence[LogProb], /) -> dict[str, Any]:
        return {}


def split_pages(lines: Iterable[str | SampleError]) -> list[list[str | SampleError]]:
    """Split WikiText's lines before each page title. Lines before the first title form a page unless all are blank.

    >>> split_pages(["", " = One = ", "", "text", " = = Part = = ", "", " = Two = ", "", "more"])
    [['', ' = One = ', '', 'text', ' = = Part = = '], ['', ' = Two = ', '', 'more']]
    """
    rows = list(lines)
    blank = [isinstance(line, str) and not line.strip() for line in rows]
    starts = [
        i - bool(i)
        for i, line in enumerate(rows)
        if isinstance(line, str) and _TITLE.fullmatch(line) and (i == 0 or blank[i - 1]) and (i + 1 == len(rows) or blank[i + 1])
    ]
    edges = [*([0] if not all(blank[: (starts or [len(rows)])[0]]) else []), *starts, len(rows)]
    return [rows[a:b] for a, b in pairwise(edges)]
