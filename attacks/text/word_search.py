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
from ...harness.modalities.inputs import list_texts, name_modality
from ...harness.modalities.words import Spans, word_spans
from ...harness.threats import EditBudget


@dataclass(frozen=True, slots=True)
class Variant:
    """A text as its words.

    changed: places of words that differ from the clean text.
    loss: cross-entropy of the true class, in nats.
    """

    words: tuple[str, ...]
    changed: frozenset[int] = frozenset()
    loss: float = -np.inf
    is_wrong: bool = False

    def replace_word(self, place: int, word: str, /) -> Variant:
        return Variant((*self.words[:place], word, *self.words[place + 1 :]), self.changed | {place})


@dataclass(slots=True, eq=False)
class Search:
    """The search for one sample.

    gaps: text before, between and after its words.
    places: words that may change.
    best: the best variant so far.
    queries: forward and gradient passes.
    is_flat: whether every gradient so far was 0.
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
        """Return (start, end) of each word in the variant's text."""
        ends = accumulate(len(gap) + len(word) for gap, word in zip(self.gaps, variant.words, strict=False))
        return tuple((end - len(word), end) for end, word in zip(ends, variant.words, strict=True))

    def pair(self, variant: Variant, /) -> tuple[Sample, Sample]:
        """Return the clean sample and the variant as its adversarial example."""
        return self.sample, replace(self.sample, input=self.text(variant))

    def offer(self, variant: Variant, /) -> None:
        """Keep the variant if its loss is the largest so far. A misclassified one ends the search."""
        if variant.is_wrong or variant.loss > self.best.loss:
            self.best = variant
        self.is_open = self.is_open and not variant.is_wrong

    def twin(self) -> Sample:
        """Return the adversarial example. A search that is still open has used its budget of steps."""
        if self.error:
            return replace(self.sample, metadata={**self.sample.metadata, "error": self.error})
        facts = {"num_queries": self.queries, "budget_exhausted": self.is_open, "zero_gradient": self.is_flat}
        return replace(self.sample, input=self.text(self.best), metadata={**self.sample.metadata, **facts})


def is_word(text: str, /) -> bool:
    """Return whether the text is one word with a letter in it."""
    return word_spans(text) == ((0, len(text)),) and any(map(str.isalpha, text))


def start_searches(samples: Sequence[Sample], left_alone: frozenset[str], /) -> list[Search]:
    """Start a search per sample. left_alone: lower-case words that must not change. An unusable sample gets
    an ``error`` and is closed."""
    return [_start_search(sample, left_alone) for sample in samples]


def _start_search(sample: Sample, left_alone: frozenset[str]) -> Search:
    try:
        text, target = read_text(sample), read_label(sample)
    except SampleError as error:
        return Search(sample, -1, (), (), Variant(()), is_open=False, error=str(error))
    spans = word_spans(text)
    words = tuple(text[start:end] for start, end in spans)
    gaps = [text[end:start] for (_, end), (start, _) in zip([(0, 0), *spans], [*spans, (len(text), len(text))], strict=True)]
    places = tuple(i for i, word in enumerate(words) if is_word(word) and word.lower() not in left_alone)
    clean = Variant(words)
    return Search(sample, target, tuple(gaps), places, clean, [clean], is_open=bool(places))


def list_open(searches: Sequence[Search], /) -> list[Search]:
    """Return the searches that continue."""
    return [search for search in searches if search.is_open]


def query_variants(engine: ModelPort, tried: Sequence[tuple[Search, Sequence[Variant]]], /) -> Iterator[tuple[Search, list[Variant]]]:
    """Query the model for each search's candidates, in one engine call, and yield the judged candidates."""
    requests = [Classify(search.text(variant), search.sample.labels) for search, variants in tried for variant in variants]
    answers = iter(engine.run(requests))
    for search, variants in tried:
        search.queries += len(variants)
        yield search, [judge_variant(variant, next(answers).values, search.target) for variant in variants]


def check_threat(engine: ModelPort, threat: EditBudget, pairs: Sequence[tuple[Sample, Sample]], /) -> list[bool]:
    """Return which adversarial examples the threat admits. Its models judge, in one call, those that pass the
    other checks."""
    allowed = [threat.admits(*pair) for pair in pairs]
    if threat.roles and any(allowed):
        roles_only: Any = SimpleNamespace(roles={role: engine.roles[role] for role in threat.roles})
        left = [place for place, passed in enumerate(allowed) if passed]
        for place, numbers in zip(left, threat.measure(roles_only, [pairs[place] for place in left]), strict=True):
            allowed[place] = threat.admits(*pairs[place], numbers)
    return allowed


def judge_variant(variant: Variant, logits: Sequence[float], target: int, /) -> Variant:
    """Return the variant with its loss and whether it is misclassified."""
    values = np.asarray(logits, dtype=np.float64)
    loss = float(np.logaddexp.reduce(values) - values[target])
    return replace(variant, loss=loss, is_wrong=int(values.argmax()) != target)


def read_text(sample: Sample, /) -> str:
    """Return the text of the sample. Raises `SampleError` for other inputs."""
    texts = list_texts(sample.input)
    if len(texts) != 1:
        raise SampleError(
            f"this attack changes one text, but the input is a {name_modality(sample.input)}; "
            "list tasks with single texts under the attack's 'tasks:'"
        )
    return texts[0]


def read_label(sample: Sample, /) -> int:
    """Return the target as a plain int, because TextAttack rejects NumPy integers. Raises `SampleError`."""
    try:
        label = operator.index(sample.target)
    except TypeError:
        label = -1
    if label < 0:
        raise SampleError(f"this attack needs the index of a class as target, not {sample.target!r}")
    return label
