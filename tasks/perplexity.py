"""How likely whole documents are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Literal, Unpack

from ..harness.api.errors import ConfigError, SampleError
from ..harness.api.requests import LogProb, RollingLogLikelihood
from ..harness.api.samples import Sample
from ..harness.data import DataSpec, Row
from .base import Common, Item, RowTask
from .cloze import text_counts
from .fields import Field

_TITLE = re.compile(r" ?= [^=](?:.*[^=])? = ?")


class Perplexity(RowTask):
    """One `RollingLogLikelihood` a document.

    Scores: ``loglikelihood``, ``num_tokens``, ``num_words``, ``num_bytes``, from which ``token_perplexity``, ``word_perplexity``,
    ``byte_perplexity`` and ``bits_per_byte`` are made. Words and bytes are counted in the original text, also where ``scored`` changes it.

    Settings: ``text``; ``documents``: ``rows`` (each row), ``all`` (all rows, joined by line ends) or ``wikitext`` (rows are lines, and
    a page begins at a ``= Title =`` between blank lines); ``scored``: a template over ``text``, the document, that gives what the model
    sees, e.g. ``"{{ text | wikitext_detokenize }}"``; ``min_context``: see `RollingLogLikelihood`.
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
            raise ConfigError(f"min_context is 1 or more, not {min_context}")
        if documents != "rows" and (common.get("id") or common.get("group")):
            raise ConfigError(f"documents: {documents} joins rows, so that id and group have no row to read; leave them out")
        self._text, self._scored = Field("text", text), Field("scored", scored or "text")
        unknown = self._scored.columns - {"text"}
        if unknown:
            raise ConfigError(f"scored is a template over 'text' (the document), not over {', '.join(sorted(unknown))}")
        self._documents, self._min_context = documents, min_context
        super().__init__(name, data, [self._text], **common)

    @cached_property
    def _joined(self) -> list[Row]:
        lines = (self._line(row) for row in self.rows.rows)
        documents = [list(lines)] if self._documents == "all" else pages(lines)
        # A line that is no text (a SampleError) spoils its own document and no other.
        return [
            {"document": next((line for line in document if isinstance(line, SampleError)), None) or "\n".join(map(str, document)) + "\n"}
            for document in documents
        ]

    def _line(self, row: Row) -> str | SampleError:
        try:
            return self._text.text(row).removesuffix("\n")
        except SampleError as error:
            return error

    def units(self) -> Sequence[Row]:
        return self.rows.rows if self._documents == "rows" else self._joined

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
        return {**text_counts(str(sample.input), answer)}

    def predict(self, sample: Sample, responses: Sequence[LogProb], /) -> dict[str, Any]:
        return {}


def pages(lines: Iterable[str | SampleError]) -> list[list[str | SampleError]]:
    """WikiText's lines, cut before each page title. What stands before the first title is a page only if it says something.

    >>> pages(["", " = One = ", "", "text", " = = Part = = ", "", " = Two = ", "", "more"])
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
