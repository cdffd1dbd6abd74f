"""Classify a text or a pair of texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from ..harness.api.errors import ConfigError, SampleError
from ..harness.data import DataSpec, Row
from ..harness.modalities.text import TextPair
from .base import Common, Item
from .classification import Classification
from .fields import Field, Label


class TextClassification(Classification):
    """Classify a text or a pair of texts. Score: ``correct``.

    text: field with the text.
    pair: field with the second text of a pair, such as the hypothesis of a premise.
    label: field with the class.
    labels: names of the classes, in order.
    label_map: names for values of the data set.
    rationale: field with the characters that people marked as evidence for the label: a list (or its JSON) of
        [start, end] positions or of single positions. Probes are scored against it.
    """

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        text: str,
        label: str,
        pair: str = "",
        rationale: str = "",
        labels: Sequence[Label] = (),
        label_map: Mapping[Label, Label] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self._text = Field("text", text)
        self._pair = Field("pair", pair) if pair else None
        self._rationale = Field("rationale", rationale) if rationale else None
        if pair and rationale:
            raise ConfigError("rationale needs a single text: positions cannot say which text of a pair they belong to")
        self.requires = frozenset({"classify", "pair" if pair else "text"})
        super().__init__(name, data, [f for f in (self._text, self._pair, self._rationale) if f], label, labels, label_map, **common)

    def build(self, row: Row) -> Item:
        text = self._text.text(row)
        shown = TextPair(text, self._pair.text(row)) if self._pair else text
        marked = {"rationale": parse_rationale(self._rationale.value(row), len(text))} if self._rationale else {}
        return Item(shown, self.classes.index(self._label.value(row)), self.classes.names, marked)


def parse_rationale(value: Any, length: int, /) -> list[list[int]]:
    """Return [start, end] of each run of marked characters. Raises `SampleError` for anything but positions in the text.

    >>> parse_rationale("[3, 4, 5, 9]", 10), parse_rationale([[0, 2], [1, 4]], 10)
    ([[3, 6], [9, 10]], [[0, 4]])
    """
    try:
        positions = json.loads(value) if isinstance(value, str) else list(value)
        pairs = [(int(v), int(v) + 1) if isinstance(v, int) else (int(v[0]), int(v[1])) for v in positions]
    except (TypeError, ValueError, LookupError) as error:
        raise SampleError(f"rationale: {str(value)[:60]!r} is not a list of positions in the text") from error
    if any(not 0 <= start <= end <= length for start, end in pairs):
        raise SampleError(f"rationale: a position is outside of the text, which has {length} characters")
    spans: list[list[int]] = []
    for start, end in sorted(pairs):
        if spans and start <= spans[-1][1]:
            spans[-1][1] = max(end, spans[-1][1])
        elif start < end:
            spans.append([start, end])
    return spans
