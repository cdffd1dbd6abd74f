"""Generate text and compare it with a reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, Unpack

from ..harness.api.errors import ConfigError
from ..harness.api.requests import Generate
from ..harness.api.responses import Completion
from ..harness.api.samples import Sample, seed_of
from ..harness.data import DataSpec, Row
from .base import Common, Item, RowTask
from .few_shot import FewShot
from .fields import Field

Step = Literal["case", "commas", "dollars", "final_dot", "whitespace"]
STEPS: Mapping[Step, Callable[[str], str]] = {
    "case": str.lower,
    "commas": lambda text: text.replace(",", ""),
    "dollars": lambda text: text.replace("$", ""),
    "final_dot": lambda text: text.removesuffix("."),
    "whitespace": lambda text: " ".join(text.split()),
}


class Generation(RowTask):
    """Generate a completion and compare its answer with a reference.

    Score: ``exact_match``, 1 if the answer in the completion equals the target after normalisation. If
        ``filter`` matches nothing, the score is 0 and the prediction None.

    prompt: field with the prompt.
    target: field with the reference.
    max_tokens: maximum length of the completion.
    stop: strings that end the completion.
    temperature: sampling temperature; 0 is greedy.
    seed: seed of the sampling; each sample derives its own from its id.
    filter: regular expression whose first matching group, or whole match, is the answer.
    match: which match is the answer, first or last.
    normalise: steps applied to answer and target, in order: case, commas, dollars, final_dot, whitespace.
    strip: whether to remove surrounding spaces of answer and target.
    delimiter: text between a few-shot prompt and its target.
    header: text before everything.
    num_fewshot: number of few-shot examples, the first rows of fewshot_split.
    fewshot_split: split of the few-shot examples.
    fewshot_target: field with the target of a few-shot example. Default: target.
    """

    requires = frozenset({"generate", "text"})
    primary = "exact_match"
    default_metrics: ClassVar[tuple[str, ...]] = ("exact_match",)

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        prompt: str,
        target: str,
        max_tokens: int = 256,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
        seed: int = 0,
        filter: str = "",
        match: Literal["first", "last"] = "first",
        normalise: Sequence[Step] = (),
        strip: bool = True,
        delimiter: str = " ",
        header: str = "",
        num_fewshot: int = 0,
        fewshot_split: str = "train",
        fewshot_target: str = "",
        **common: Unpack[Common],
    ) -> None:
        if max_tokens < 1 or temperature < 0:
            raise ConfigError(f"max_tokens must be at least 1 and temperature at least 0, not {max_tokens} and {temperature}")
        try:
            self._filter = re.compile(filter) if filter else None
        except re.error as error:
            raise ConfigError(f"filter: {filter!r} is not a regular expression: {error}") from error
        for step in normalise:
            if step not in STEPS:
                raise ConfigError(f"normalise has no step {step!r}; its steps: {', '.join(STEPS)}")
        self._prompt, self._target = Field("prompt", prompt), Field("target", target)
        self._example_target = Field("fewshot_target", fewshot_target) if fewshot_target else self._target
        self._max_tokens, self._stop, self._temperature, self._seed = max_tokens, tuple(stop), float(temperature), seed
        self._match, self._normalise, self._delimiter = match, tuple(normalise), delimiter
        self._outer: Callable[[str], str] = str.strip if strip else str
        self._fewshot = FewShot(data, num_fewshot, fewshot_split, header)
        super().__init__(name, data, [self._prompt, self._target], **common)

    @cached_property
    def prefix(self) -> str:
        """Header and few-shot examples. They are not part of a sample's input, so an attack changes only the
        question."""
        fields = [self._prompt, self._example_target]
        return self._fewshot.prefix(lambda: self.rows.select(self._prompt.columns), fields, self._write_example, self._prompt.text)

    def notes(self, num_samples: int, /) -> list[str]:
        return [*super().notes(num_samples), *self._fewshot.notes]

    def _write_example(self, row: Row) -> str:
        return f"{self._prompt.text(row)}{self._delimiter}{self._example_target.text(row)}"

    def build(self, row: Row) -> Item:
        return Item(self._prompt.text(row), self._target.text(row))

    def ask(self, sample: Sample) -> list[Generate]:
        seed = seed_of(self._seed, sample.id) if self._temperature else 0
        return [Generate(f"{self.prefix}{sample.input}", self._max_tokens, self._stop, self._temperature, seed)]

    def answer(self, completion: str, /) -> str | None:
        """Return the answer in the completion, before normalisation; None if the filter matches nothing."""
        if self._filter is None:
            return self._outer(completion)
        matches = list(self._filter.finditer(completion))
        if not matches:
            return None
        match = matches[0 if self._match == "first" else -1]
        return self._outer(next((group for group in match.groups() if group is not None), match[0]))

    def _normalise_text(self, text: str) -> str:
        text = self._outer(text)
        for step in self._normalise:
            text = STEPS[step](text)
        return self._outer(text)

    def score(self, sample: Sample, responses: Sequence[Completion], /) -> dict[str, float | None]:
        (completion,) = responses
        answer = self.answer(completion.text)
        return {"exact_match": float(answer is not None and self._normalise_text(answer) == self._normalise_text(sample.target))}

    def predict(self, sample: Sample, responses: Sequence[Completion], /) -> dict[str, Any]:
        (completion,) = responses
        return {"prediction": self.answer(completion.text), "target": sample.target, "output": completion.text}
