"""What the white-box searches for words share: texts with some words replaced, and what the model says of them."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...harness.api.errors import SampleError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Classify
from ...harness.api.samples import Sample
from ...harness.modalities.inputs import modality, texts_of
from ...harness.modalities.words import Spans, word_spans
from ...harness.threats import EditBudget


@dataclass(frozen=True, slots=True)
class Variant:
    """A text by its words. ``changed``: places of those that are not the clean text's. ``loss``: cross-entropy of the true class, nats."""

    words: tuple[str, ...]
    changed: frozenset[int] = frozenset()
    loss: float = -np.inf
    is_wrong: bool = False

    def swapped(self, place: int, word: str, /) -> Variant:
        return Variant((*self.words[:place], word, *self.words[place + 1 :]), self.changed | {place})


@dataclass(slots=True, eq=False)
class Search:
    """One sample's. ``gaps``: what stands before, between and behind its words. ``places``: the words that may be changed.

    ``best``: the twin so far. ``queries``: forward and gradient passes. ``is_flat``: no gradient so far was other than 0.
    """

    sample: Sample
    target: int
    gaps: tuple[str, ...]
    places: tuple[int, ...]
    best: Variant
    beam: list[Variant] = field(default_factory=list)
    queries: int = 0
    is_flat: bool = True
    is_open: bool = True
    error: str = ""

    def text(self, variant: Variant, /) -> str:
        return self.gaps[0] + "".join(word + gap for word, gap in zip(variant.words, self.gaps[1:], strict=True))

    def spans(self, variant: Variant, /) -> Spans:
        """(start, end) of each word in the variant's text."""
        ends = accumulate(len(gap) + len(word) for gap, word in zip(self.gaps, variant.words, strict=False))
        return tuple((end - len(word), end) for end, word in zip(ends, variant.words, strict=True))

    def pair(self, variant: Variant, /) -> tuple[Sample, Sample]:
        """The clean sample and the twin that the variant would be."""
        return self.sample, replace(self.sample, input=self.text(variant))

    def offer(self, variant: Variant, /) -> None:
        """The best so far, if its loss is the largest. One that is misclassified ends the search."""
        if variant.is_wrong or variant.loss > self.best.loss:
            self.best = variant
        self.is_open = self.is_open and not variant.is_wrong

    def twin(self) -> Sample:
        """What is still open now has run out of steps."""
        if self.error:
            return replace(self.sample, metadata={**self.sample.metadata, "error": self.error})
        found = {"num_queries": self.queries, "budget_exhausted": self.is_open, "zero_gradient": self.is_flat}
        return replace(self.sample, input=self.text(self.best), metadata={**self.sample.metadata, **found})


def is_word(text: str, /) -> bool:
    """One word, with a letter in it."""
    return word_spans(text) == ((0, len(text)),) and any(map(str.isalpha, text))


def begun(samples: Sequence[Sample], left_alone: frozenset[str], /) -> list[Search]:
    """``left_alone``: words in small letters that are not changed. What is no text of a known class has an ``error`` and is closed."""
    return [_begun(sample, left_alone) for sample in samples]


def _begun(sample: Sample, left_alone: frozenset[str]) -> Search:
    try:
        text, target = text_of(sample), label_of(sample)
    except SampleError as error:
        return Search(sample, -1, (), (), Variant(()), is_open=False, error=str(error))
    spans = word_spans(text)
    words = tuple(text[start:end] for start, end in spans)
    gaps = [text[end:start] for (_, end), (start, _) in zip([(0, 0), *spans], [*spans, (len(text), len(text))], strict=True)]
    places = tuple(i for i, word in enumerate(words) if is_word(word) and word.lower() not in left_alone)
    clean = Variant(words)
    return Search(sample, target, tuple(gaps), places, clean, [clean], is_open=bool(places))


def standing(searches: Sequence[Search], /) -> list[Search]:
    return [search for search in searches if search.is_open]


def asked(engine: ModelPort, tried: Sequence[tuple[Search, Sequence[Variant]]], /) -> Iterator[tuple[Search, list[Variant]]]:
    """Each search's candidates with what the model says of them: one call of the engine for all."""
    requests = [Classify(search.text(variant), search.sample.labels) for search, variants in tried for variant in variants]
    answers = iter(engine.run(requests))
    for search, variants in tried:
        search.queries += len(variants)
        yield search, [told(variant, next(answers).values, search.target) for variant in variants]


def admitted(engine: ModelPort, threat: EditBudget, pairs: Sequence[tuple[Sample, Sample]], /) -> list[bool]:
    """Which twins the threat admits. Its models are asked, in one call, of those that pass without them."""
    found = [threat.admits(*pair) for pair in pairs]
    if threat.roles and any(found):
        asked: Any = SimpleNamespace(roles={role: engine.roles[role] for role in threat.roles})
        left = [place for place, passed in enumerate(found) if passed]
        for place, numbers in zip(left, threat.measure(asked, [pairs[place] for place in left]), strict=True):
            found[place] = threat.admits(*pairs[place], numbers)
    return found


def told(variant: Variant, logits: Sequence[float], target: int, /) -> Variant:
    values = np.asarray(logits, dtype=np.float64)
    loss = float(np.logaddexp.reduce(values) - values[target])
    return replace(variant, loss=loss, is_wrong=int(values.argmax()) != target)


def text_of(sample: Sample, /) -> str:
    texts = texts_of(sample.input)
    if len(texts) != 1:
        raise SampleError(
            f"this attack changes one text, and the input is a {modality(sample.input)}; name under its 'tasks:' those of single texts"
        )
    return texts[0]


def label_of(sample: Sample, /) -> int:
    """A plain int: TextAttack rejects NumPy's."""
    try:
        label = operator.index(sample.target)
    except TypeError:
        label = -1
    if label < 0:
        raise SampleError(f"this attack needs the index of a class as target, not {sample.target!r}")
    return label
