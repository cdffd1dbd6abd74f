"""Tag the words of a text, as in named entity recognition."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Unpack

from ..harness.api.errors import ConfigError, SampleError
from ..harness.api.requests import Tag
from ..harness.api.responses import Tags
from ..harness.api.samples import Sample
from ..harness.data import DataSpec, Row
from ..harness.metrics.entities import COUNTS
from ..harness.metrics.libraries import import_library, require_library
from .base import Common, Item, RowTask
from .fields import Field

OUTSIDE = "O"
_PREFIXES = ("B", "I", "E", "S", "L", "U")


class Tagging(RowTask):
    """Find the entities of a text: one `Tag` request. Entities are read from tags by seqeval, as conlleval does.

    Scores: ``correct``, 1 if exactly the named entities are found; ``entities_found``, ``entities_predicted`` and ``entities_named``,
        which the metrics sum.

    words: field with the list of words.
    tags: field with the list of their tags: O, or a prefix and a type (B-PER, I-PER), or numbers of tag_names.
    tag_names: names of tags that are numbers, in order. Default: those that the data set declares.
    tag_map: names for the types of the model, where they differ from those of the data: {PERSON: PER}.
    """

    requires = frozenset({"tag", "text"})
    primary = "correct"
    hub_task = "token-classification"
    default_metrics: ClassVar[tuple[str, ...]] = ("entity_f1", "entity_precision", "entity_recall")

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        words: str,
        tags: str,
        tag_names: Sequence[str] = (),
        tag_map: dict[str, str] | None = None,
        **common: Unpack[Common],
    ) -> None:
        require_library("seqeval", f"the task {name!r}")
        for tag in tag_names:
            if not _is_tag(tag):
                raise ConfigError(f"tag_names: {tag!r} is neither {OUTSIDE} nor a prefix and a type, such as B-PER")
        self._words, self._tags = Field("words", words), Field("tags", tags)
        self._names, self._map = tuple(tag_names), dict(tag_map or {})
        super().__init__(name, data, [self._words, self._tags], **common)

    @cached_property
    def _get_entities(self) -> Any:
        return import_library("seqeval.metrics.sequence_labeling", "tagging").get_entities

    def build(self, row: Row) -> Item:
        words, tags = _read_list(self._words, row), _read_list(self._tags, row)
        if len(words) != len(tags):
            raise SampleError(f"there are {len(words):,} words and {len(tags):,} tags")
        if odd := next((word for word in words if not isinstance(word, str) or len(word.split()) != 1), None):
            raise SampleError(f"words: {odd!r} is not one word")
        return Item(" ".join(words), [self._name(tag) for tag in tags])

    def ask(self, sample: Sample) -> list[Tag]:
        return [Tag(str(sample.input))]

    def score(self, sample: Sample, responses: Sequence[Tags], /) -> dict[str, float | None]:
        predicted, named = self._read(self._map_tags(responses)), self._read(sample.target)
        counts = (len(predicted & named), len(predicted), len(named))
        return {"correct": float(predicted == named), **dict(zip(COUNTS, map(float, counts), strict=True))}

    def predict(self, sample: Sample, responses: Sequence[Tags], /) -> dict[str, Any]:
        return {"prediction": " ".join(self._map_tags(responses)), "target": " ".join(sample.target)}

    def _map_tags(self, responses: Sequence[Tags]) -> list[str]:
        (answer,) = responses
        parts = (tag.partition("-") for tag in answer.tags)
        return [prefix + dash + self._map.get(kind, kind) for prefix, dash, kind in parts]

    def _read(self, tags: Sequence[str]) -> set[tuple[str, int, int]]:
        """Return the entities: type, first and last word. A tag outside of the scheme names none."""
        return {tuple(entity) for entity in self._get_entities([tag if _is_tag(tag) else OUTSIDE for tag in tags])}

    def _name(self, tag: Any) -> str:
        names = self._names or self.rows.class_names.get(self._tags.source, ())
        if isinstance(tag, int) and not isinstance(tag, bool):
            if not 0 <= tag < len(names):
                raise SampleError(f"tags: {tag} is no index of tag_names, which has {len(names)} names")
            tag = names[tag]
        if not isinstance(tag, str) or not _is_tag(tag):
            raise SampleError(f"tags: {tag!r} is neither {OUTSIDE} nor a prefix and a type, such as B-PER")
        return tag


def _is_tag(tag: str) -> bool:
    prefix, dash, kind = tag.partition("-")
    return tag == OUTSIDE or (prefix in _PREFIXES and bool(dash and kind))


def _read_list(field: Field, row: Row) -> list[Any]:
    value = field.value(row)
    items = value.split() if isinstance(value, str) else value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(items, list | tuple) or not items:
        raise SampleError(f"{field.key}: {value!r} is not a list")
    return list(items)
