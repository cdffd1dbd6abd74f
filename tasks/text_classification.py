"""Classes of a text, or of a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from ..harness.data import DataSpec, Row
from ..harness.inputs import TextPair
from .base import Common, Item
from .classification import Classification
from .fields import Field


class TextClassification(Classification):
    """Settings: ``text``; ``pair``, the second text of a pair (premise and hypothesis); ``label``; ``labels``; ``label_map``."""

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        text: str,
        label: str,
        pair: str = "",
        labels: Sequence[str] = (),
        label_map: Mapping[str | int, str] | None = None,
        **common: Unpack[Common],
    ) -> None:
        self._text = Field("text", text)
        self._pair = Field("pair", pair) if pair else None
        self.requires = frozenset({"classify", "pair" if pair else "text"})
        super().__init__(name, data, [self._text, *([self._pair] if self._pair else [])], label, labels, label_map, **common)

    def build(self, row: Row) -> Item:
        text = self._text.text(row)
        shown = TextPair(text, self._pair.text(row)) if self._pair else text
        return Item(shown, self.classes.index(self._label.value(row)), self.classes.names)
