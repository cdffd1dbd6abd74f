"""Generate texts with a known class from templates and word lists (Ribeiro et al. 2020)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, product
from typing import Unpack

from ..harness.api.errors import ConfigError, suggest_name
from ..harness.data import Row, Rows
from ..harness.store import codec
from .base import Common, Item
from .classification import Classification
from .fields import Field

_SLOT = re.compile(r"\{(\w+)\}")


class Templates(Classification):
    """A minimum functionality test: the model must classify every text that a template generates.

    Score: ``correct``. The texts of one template share a group, and each class is a slice.

    labels: names of the classes.
    templates: for each label a text or a list of texts with ``{slots}``, e.g. ``{positive: "I {like} this
        {thing}."}``.
    lexicons: words for each slot, e.g. ``{like: [love, enjoy], thing: [film, book]}``.
    max_each: maximum number of texts per template, spread evenly over all combinations; 0 for all.
    """

    requires = frozenset({"classify", "text"})
    dimension = "robustness"

    def __init__(
        self,
        name: str,
        data: None = None,
        *,
        labels: Sequence[str],
        templates: Mapping[str, str | Sequence[str]],
        lexicons: Mapping[str, Sequence[str]] | None = None,
        max_each: int = 0,
        **common: Unpack[Common],
    ) -> None:
        for key in ("id", "group", "slice"):
            if common.get(key):
                raise ConfigError(f"{key} cannot be set in a templates task; omit it")
        self._max_each, self._lexicons = max_each, {slot: list(words) for slot, words in (lexicons or {}).items()}
        self._templates = [(label, text) for label, texts in templates.items() for text in ([texts] if isinstance(texts, str) else texts)]
        for label, text in self._templates:
            if label not in labels:
                raise ConfigError(f"templates: {label!r} is not a label.{suggest_name(label, labels)} Labels: {', '.join(labels)}.")
            for slot in _SLOT.findall(text):
                if not self._lexicons.get(slot):
                    raise ConfigError(f"templates: {{{slot}}} in {text!r} has no words in lexicons.{suggest_name(slot, self._lexicons)}")
        common["group"], common["slice"] = "template", "label"
        super().__init__(name, None, [Field("text", "text")], "label", labels, None, **common)

    @cached_property
    def rows(self) -> Rows:
        rows = list(self._fill_templates())
        return Rows(rows, ("text", "label", "template"), codec.digest(rows), source=f"templates of {self.name}")

    def _fill_templates(self) -> Iterator[Row]:
        for number, (label, template) in enumerate(self._templates):
            slots = list(dict.fromkeys(_SLOT.findall(template)))
            num = math.prod(len(self._lexicons[slot]) for slot in slots)
            step = max(1, num // self._max_each) if self._max_each else 1
            for words in islice(product(*(self._lexicons[slot] for slot in slots)), 0, step * self._max_each or None, step):
                chosen = dict(zip(slots, words, strict=True))
                text = _SLOT.sub(lambda match, chosen=chosen: chosen[match[1]], template)  # type: ignore[misc]
                yield {"text": text, "label": label, "template": str(number)}

    def build(self, row: Row) -> Item:
        return Item(row["text"], self.classes.index(row["label"]), self.classes.names)
