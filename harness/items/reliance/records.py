"""Which words carry a model's predictions over a whole set, and what is left of its accuracy without them.

A word carries a class (`answer_classes`) by its mean attribution over the samples that have it and are explained for that class; in each,
its places are summed, as a share of all parts' absolute attributions. In the method's own unit one sample would weigh a thousand times
another: gradients are next to nothing where the model is sure, and of a planted word it is. The `NUM_WORDS` with the largest positive
mean, of those in at least `LEAST_SAMPLES` such samples, are the class's carriers. Whether one is spurious, its numbers tell: how much more
often the model predicts the class where the word is than the labels have it (``overpredicted``, held against the rest of the set in
`reliance.rows`), and what becomes of the accuracy when the carriers are cut out, beside as many other words at random.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...api.samples import Record, Sample, SampleRng
from ...api.task import Task
from ...engine import Engine
from ...engine.batching import canonical
from ...modalities.inputs import texts_of
from ...modalities.removal import removed
from ...modalities.words import Spans, spans_in
from ...store import Store, StoredItem
from ..task.records import Judged, judge
from .answer_classes import AnswerClasses

NUM_WORDS = 5
LEAST_SAMPLES = 5

Carriers = Mapping[str, Sequence[str]]
"""Words by the name of the class that they carry, the first carries most."""


@dataclass(slots=True)
class _Use:
    """Of one word in the samples explained for one class."""

    num: int = 0
    total: float = 0.0


def carriers(classes: AnswerClasses, explained: Iterable[tuple[Sample, Record, Record | None]], /) -> Carriers:
    """``explained``: samples with a probe's records of them, and the task's."""
    uses: dict[str, dict[str, _Use]] = defaultdict(lambda: defaultdict(_Use))
    for sample, record, answer in explained:
        own = values_of(sample, record)
        if not own or (name := classes.explained(sample, record, answer)) is None:
            continue
        for word, value in own.items():
            use = uses[name][word]
            use.num, use.total = use.num + 1, use.total + value
    return {name: _strongest(words) for name, words in sorted(uses.items())}


def _strongest(words: Mapping[str, _Use]) -> list[str]:
    means = {word: use.total / use.num for word, use in words.items() if use.num >= LEAST_SAMPLES and use.total > 0}
    return sorted(means, key=lambda word: (-means[word], word))[:NUM_WORDS]


def values_of(sample: Sample, record: Record, /) -> dict[str, float]:
    """What each word is attributed, in small letters, as a share of all parts' absolute attributions. Empty where there is no attribution
    to words."""
    found = record.artifacts.get("attribution")
    if found is None or not (texts := texts_of(sample.input)):
        return {}
    words: dict[str, float] = defaultdict(float)
    values = np.asarray(found["values"], dtype=np.float64)
    shares = values / (float(np.abs(values).sum()) or 1.0)
    for word, value in zip(_words(texts, found["spans"]), shares.tolist(), strict=True):
        if word.isprintable():
            words[word] += value
    return words


def _words(texts: Sequence[str], spans: Spans) -> list[str]:
    text = "\n".join(texts)
    return [text[start:end].casefold() for start, end in spans]


@dataclass(frozen=True, slots=True)
class _Asked:
    """``words``: the sample's, in small letters. ``without``: the sample without the carriers, and without as many others at random."""

    sample: Sample
    words: Sequence[str]
    without: tuple[Sample, Sample]


def make_reliance_records(
    engine: Engine, item: str, task: Task, rng: SampleRng, samples: Sequence[Sample], explained: Mapping[str, Record],
    answers: Mapping[str, Record], classes: AnswerClasses, found: Carriers, /,
) -> list[Record]:  # fmt: skip
    """A record a sample that has a carrier: whether the answer is right and whether it changed, without the carriers and without as many
    other words at random (all of them, where there are fewer). ``explained``: the probe's records, by sample id; ``answers``: the task's.

    What a carrier is to the sample is in the artifacts, by class and word: ``carried``, its share, where the sample is explained for
    the class, and ``overpredicted``, 1 where the class is predicted and not the sample's own, -1 where it is the other way round.
    ``called``, of every sample whose own class is known: by each other class, whether it is predicted.
    """
    asked = {}
    for sample in canonical(engine, samples):
        if sample.id in explained and (one := _asked(sample, found, rng)):
            asked[sample.id] = one
    every = [shown for one in asked.values() for shown in (one.sample, *one.without)]
    answered = iter(judge(engine, task, every))
    judged = {key: [next(answered) for _ in range(3)] for key in asked}
    records = []
    for sample in samples:
        if sample.id not in asked:
            note = (
                "none of its words carries predictions" if texts_of(sample.input) else "words are counted in texts, and this sample is none"
            )
            noted: dict[str, Any] = {"note": note}
            if (answer := answers.get(sample.id)) is not None:
                said = classes.said(sample, Judged(scores=answer.scores, artifacts=answer.artifacts))
                noted |= _called(said, classes.own(sample), found)
            records.append(Record(sample.id, item, {}, artifacts=noted))
        elif error := next((one.error for one in judged[sample.id] if one.error is not None), None):
            records.append(Record(sample.id, item, {}, error))
        else:
            whole, *without = judged[sample.id]
            before = classes.said(sample, whole)
            scores: dict[str, float | None] = {"correct": _right(task, whole)}
            for name, rest in zip(("carriers", "random"), without, strict=True):
                scores[f"correct_without_{name}"] = _right(task, rest)
                after = classes.said(sample, rest)
                scores[f"changed_without_{name}"] = None if before is None or after is None else float(after != before)
            artifacts = _of_words(asked[sample.id], explained[sample.id], answers.get(sample.id), whole, classes, found)
            records.append(Record(sample.id, item, scores, artifacts=artifacts))
    return records


def _asked(sample: Sample, found: Carriers, rng: SampleRng) -> _Asked | None:
    texts = texts_of(sample.input)
    if not texts:
        return None
    spans = spans_in(texts)
    words = _words(texts, spans)
    hidden_W = np.isin(words, sorted({word for own in found.values() for word in own}))
    if not hidden_W.any():
        return None
    random_W = np.zeros_like(hidden_W)
    # Others: of a short text, as many words of all would often hold the very carrier.
    random_W[rng(sample.id).permutation(np.flatnonzero(~hidden_W))[: hidden_W.sum()]] = True
    return _Asked(sample, words, (_without(sample, spans, hidden_W), _without(sample, spans, random_W)))


def _without(sample: Sample, spans: Spans, hidden_W: NDArray[np.bool_]) -> Sample:
    return replace(sample, input=removed(sample.input, spans, hidden_W, "cut"))


def _right(task: Task, judged: Judged) -> float | None:
    return (judged.scores or {}).get(task.primary)


def _of_words(
    asked: _Asked, explained: Record, answer: Record | None, whole: Judged, classes: AnswerClasses, found: Carriers
) -> dict[str, dict[str, float]]:  # fmt: skip
    sample = asked.sample
    own = values_of(sample, explained)
    target = classes.explained(sample, explained, answer) if own else None
    wanted, said = classes.own(sample), classes.said(sample, whole)
    carried: dict[str, float] = {}
    over: dict[str, float] = {}
    for label, words in found.items():
        for word in words:
            if word in asked.words:
                name = f"{label}: {word}"
                carried |= {name: own[word]} if label == target and word in own else {}
                over |= {name: float(said == label) - float(wanted == label)} if wanted is not None else {}
    return {"carried": carried, "overpredicted": over, **_called(said, wanted, found)}


def _called(said: object, wanted: str | None, found: Carriers) -> dict[str, dict[str, float]]:
    return {} if wanted is None else {"called": {label: float(said == label) for label in found if label != wanted}}


def of_words(store: Store, item: StoredItem, kind: str, /) -> Iterator[tuple[Record, Any, str | None]]:
    """The records with what they say of each carrier as scores (``kind``: carried or overpredicted), as `Store.joined` gives them."""
    for record, target, group in store.join(item, {kind}):
        yield Record(record.sample_id, item.item, record.artifacts.get(kind, {})), target, group
