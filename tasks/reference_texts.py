"""Generate texts that are compared with written ones: the common part of translation, summarisation and short answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from ..harness.api.errors import ConfigError, SampleError
from ..harness.api.requests import Generate
from ..harness.api.responses import Completion
from ..harness.api.samples import Sample
from ..harness.data import DataSpec, Row
from .base import Item, RowTask
from .few_shot import FewShot
from .fields import Field

SOURCE = "{source}"


class ReferenceTexts(RowTask):
    """Base of the families whose answers are compared with one or several reference texts.

    A subclass scores an answer in `compare`.
    """

    requires = frozenset({"generate", "text"})
    hub_task = "text2text-generation"
    primary = "adequate"
    _fewshot: FewShot

    def set_up(
        self,
        data: DataSpec,
        *,
        source: str,
        reference: str | Sequence[str],
        prompt: str,
        max_tokens: int,
        stop: Sequence[str],
        num_fewshot: int,
        fewshot_split: str,
        header: str,
    ) -> list[Field]:
        """Keep the settings that all families share, and return the fields. Raises `ConfigError`."""
        if max_tokens < 1:
            raise ConfigError(f"max_tokens must be at least 1, not {max_tokens}")
        if prompt.count(SOURCE) != 1:
            raise ConfigError(f"prompt: write {SOURCE} once, where the source stands, not {prompt!r}")
        named = [reference] if isinstance(reference, str) else list(reference)
        if not named:
            raise ConfigError("reference: name at least one field")
        self._source, self._references = Field("source", source), [Field("reference", name) for name in named]
        self._prompt, self._max_tokens, self._stop = prompt, max_tokens, tuple(stop)
        self._fewshot = FewShot(data, num_fewshot, fewshot_split, header)
        return [self._source, *self._references]

    @cached_property
    def prefix(self) -> str:
        """Header and few-shot examples. They are not part of a sample's input, so an attack changes only the source."""
        return self._fewshot.prefix(
            lambda: self.rows.select(self._source.columns), [self._source, *self._references], self._write_example, self._source.text
        )

    def notes(self, num_samples: int, /) -> list[str]:
        return [*super().notes(num_samples), *self._fewshot.notes]

    def build(self, row: Row) -> Item:
        references = self._list_references(row)
        return Item(self._source.text(row), references[0], metadata={"references": references})

    def ask(self, sample: Sample) -> list[Generate]:
        return [Generate(self.prefix + self.fill_prompt(str(sample.input)), self._max_tokens, self._stop)]

    def predict(self, sample: Sample, responses: Sequence[Completion], /) -> dict[str, Any]:
        (completion,) = responses
        references = list(sample.metadata["references"])
        return {"prediction": completion.text.strip(), "target": sample.target, "references": references}

    def score(self, sample: Sample, responses: Sequence[Completion], /) -> Mapping[str, float | None]:
        (completion,) = responses
        return self.compare(str(sample.input), completion.text.strip(), list(sample.metadata["references"]))

    def compare(self, source: str, text: str, references: Sequence[str]) -> Mapping[str, float | None]:
        """Return the scores of a text."""
        raise NotImplementedError

    def _write_example(self, row: Row) -> str:
        return self.fill_prompt(self._source.text(row)) + self._list_references(row)[0]

    def _list_references(self, row: Row) -> list[str]:
        """Return the references that are not empty: those of all fields, each a text or a list of texts."""
        values = [field.value(row) for field in self._references]
        texts = [text for value in values for text in (value if isinstance(value, list | tuple) else [value])]
        if wrong := next((text for text in texts if not isinstance(text, str)), None):
            raise SampleError(f"reference: {wrong!r} is not text")
        return self.require_references(texts)

    def require_references(self, texts: Sequence[str], /) -> list[str]:
        """Return the texts that are not empty. Raises `SampleError` if there are none."""
        if not any(text.strip() for text in texts):
            raise SampleError("reference: all references are empty")
        return [text for text in texts if text.strip()]

    def fill_prompt(self, source: str, /) -> str:
        """Return the prompt of a source."""
        return self._prompt.replace(SOURCE, source)
