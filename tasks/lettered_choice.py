"""Choose one of several answers by its letter, for models that generate text but give no log-likelihoods."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from string import ascii_uppercase
from typing import Any, ClassVar

from ..harness.api.errors import SampleError
from ..harness.api.requests import Completion, Generate
from ..harness.api.samples import Sample
from ..harness.data import Row
from .multiple_choice import MultipleChoice

_MAX_TOKENS = 32
"""Enough for a short sentence around the letter."""
_LONE = re.compile(r"[\s\W]*([A-Za-z])[\s\W]*")
_FIRST = re.compile(r"[\s\W]*([A-Z])(?![\w'])")
_NAMED = re.compile(r"\b(?:answer|choice|option)\b[^A-Z]{0,20}?\b([A-Z])(?![\w'])")
_ALONE = re.compile(r"(?<![\w'])([A-Z])(?![\w'])")


class LetteredChoice(MultipleChoice):
    """The samples of a `MultipleChoice` task, with the choices listed under letters, and one `Generate` request for the letter.

    Score: ``acc``, 1 if the letter is the target's. An answer without a letter is wrong, and its prediction None.

    plain: the task.
    """

    requires = frozenset({"generate", "text"})
    default_metrics: ClassVar[tuple[str, ...]] = ("acc",)

    def __init__(self, plain: MultipleChoice) -> None:
        # The same settings and rows. The prefix has letters too.
        vars(self).update({name: value for name, value in vars(plain).items() if name != "prefix"})
        self.metrics = self.default_metrics

    @cached_property
    def prefix(self) -> str:
        return self._fewshot.prefix(lambda: self.rows.rows, self._fields, self._write_example, self._write_question)

    def by_generation(self) -> None:
        return None

    def cautions(self, num_samples: int, parts: Mapping[str, Mapping[str, int]], /) -> list[str]:
        letters = "the model gives no log-likelihoods, so it answers by generated letters: do not compare with accuracy by likelihood"
        return [*super().cautions(num_samples, parts), letters]

    def _write_example(self, row: Row) -> str:
        item = self.build(row)
        return f"{write_letters(item.input, item.labels)} {ascii_uppercase[item.target]}"

    def ask(self, sample: Sample) -> list[Generate]:  # type: ignore[override]
        if len(sample.labels) > len(ascii_uppercase):
            raise SampleError(f"there are letters for {len(ascii_uppercase)} choices, not for {len(sample.labels)}")
        return [Generate(f"{self.prefix}{write_letters(str(sample.input), sample.labels)}", _MAX_TOKENS)]

    def score(self, sample: Sample, responses: Sequence[Completion], /) -> dict[str, float | None]:  # type: ignore[override]
        return {"acc": float(read_letter(responses[0].text, len(sample.labels)) == sample.target)}

    def predict(self, sample: Sample, responses: Sequence[Completion], /) -> dict[str, Any]:  # type: ignore[override]
        text = responses[0].text
        return {"prediction": read_letter(text, len(sample.labels)), "target": sample.target, "completion": text}


def write_letters(question: str, choices: Sequence[str]) -> str:
    """Write a question with its choices under letters. Choices that are letters themselves are listed in the question already.

    >>> print(write_letters("Which is an animal?", ["a cat", "a car"]))
    Which is an animal?
    A. a cat
    B. a car
    Answer with the letter only.
    Answer:
    """
    if [choice.strip() for choice in choices] == list(ascii_uppercase[: len(choices)]):
        return question
    listed = "".join(f"\n{letter}. {choice.strip()}" for letter, choice in zip(ascii_uppercase, choices, strict=False))
    return f"{question.rstrip()}{listed}\nAnswer with the letter only.\nAnswer:"


def read_letter(text: str, num: int) -> int | None:
    """Return the index of the letter in an answer; None if it has none, or several and no word tells which.

    >>> [read_letter(text, 4) for text in ("b)", "**D**. Because", "The answer is C.", "A cat, so B", "A or B", "I am not sure")]
    [1, 3, 2, None, None, None]
    """
    letters = ascii_uppercase[:num]
    if (lone := _LONE.fullmatch(text)) and lone[1].upper() in letters:
        return letters.index(lone[1].upper())
    if (first := _FIRST.match(text)) and first[1] in letters and not text.strip().startswith(("I ", "A ")):
        return letters.index(first[1])
    named = [letter for letter in _NAMED.findall(text) if letter in letters]
    if named:
        return letters.index(named[-1])
    alone = {letter for letter in _ALONE.findall(text) if letter in letters} - {"I"}
    return letters.index(alone.pop()) if len(alone) == 1 else None
