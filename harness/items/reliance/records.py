"""Finds the words that carry a model's predictions over all samples, and measures the accuracy without them.

A word carries a class (`answer_classes`) to the degree of its mean attribution over the samples that contain the word
and are explained for the class. In each sample, the attributions of all its occurrences are summed, and divided by
the sum of the absolute attributions of all parts. Without this division, one sample could weigh a thousand times as
much as another: gradients nearly vanish where the model is certain, and on samples with a planted word it is certain.
The carriers of a class are the `NUM_WORDS` words with the largest positive mean among those in at least
`LEAST_SAMPLES` such samples.

Two numbers show whether a carrier is spurious: how much more often the model predicts the class on samples with the
word than the labels do (``overpredicted``, compared with the other samples in `reliance.rows`), and the accuracy
without the carriers, compared with the accuracy without the same number of random words.

Shape legend: W words of a sample.
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
from ...engine.batching import make_canonical
from ...modalities.inputs import list_texts
from ...modalities.removal import remove_parts
from ...modalities.words import Spans, spans_in
from ...store import Store, StoredItem
from ..task.records import Judged, judge
from .answer_classes import AnswerClasses

NUM_WORDS = 5
LEAST_SAMPLES = 5

Carriers = Mapping[str, Sequence[str]]
"""The carriers by the name of their class, in order of decreasing mean attribution."""


@dataclass(slots=True)
class _Use:
    """The number of samples with one word that are explained for one class, and the sum of the word's attributions."""

    num: int = 0
    total: float = 0.0


def find_carriers(classes: AnswerClasses, explained: Iterable[tuple[Sample, Record, Record | None]], /) -> Carriers:
    """Return the carriers of each class.

    ``explained``: for each sample, the probe's record and the task's record, which is None if it is missing.
    """
    uses: dict[str, dict[str, _Use]] = defaultdict(lambda: defaultdict(_Use))
    for sample, record, answer in explained:
        own = sum_by_word(sample, record)
        if not own or (name := classes.explained(sample, record, answer)) is None:
            continue
        for word, value in own.items():
            use = uses[name][word]
            use.num, use.total = use.num + 1, use.total + value
    return {name: _find_strongest(words) for name, words in sorted(uses.items())}


def _find_strongest(words: Mapping[str, _Use]) -> list[str]:
    """Return the `NUM_WORDS` words with the largest positive mean attribution; ties are in alphabetical order."""
    means = {word: use.total / use.num for word, use in words.items() if use.num >= LEAST_SAMPLES and use.total > 0}
    return sorted(means, key=lambda word: (-means[word], word))[:NUM_WORDS]


def sum_by_word(sample: Sample, record: Record, /) -> dict[str, float]:
    """Return each word's attribution as a share of the absolute attributions of all parts, by the casefolded word.

    Empty if the record has no attribution, or the sample has no text.
    """
    found = record.artifacts.get("attribution")
    if found is None or not (texts := list_texts(sample.input)):
        return {}
    words: dict[str, float] = defaultdict(float)
    values = np.asarray(found["values"], dtype=np.float64)
    shares = values / (float(np.abs(values).sum()) or 1.0)
    for word, value in zip(_list_words(texts, found["spans"]), shares.tolist(), strict=True):
        if word.isprintable():
            words[word] += value
    return words


def _list_words(texts: Sequence[str], spans: Spans) -> list[str]:
    """Return the casefolded words at the spans, which are positions in the texts joined by newlines."""
    text = "\n".join(texts)
    return [text[start:end].casefold() for start, end in spans]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A sample with a carrier, and its variants.

    ``words``: the casefolded words of the sample.
    ``without``: the sample without the carriers, and the sample without the same number of other, random words.
    """

    sample: Sample
    words: Sequence[str]
    without: tuple[Sample, Sample]


def make_reliance_records(
    engine: Engine, item: str, task: Task, rng: SampleRng, samples: Sequence[Sample], explained: Mapping[str, Record],
    answers: Mapping[str, Record], classes: AnswerClasses, found: Carriers, /,
) -> list[Record]:  # fmt: skip
    """Return one record per sample. Only samples with a carrier have scores.

    ``engine``: runs the model.
    ``item``: the item's name.
    ``rng``: the random generators of the samples.
    ``explained``, ``answers``: the probe's and the task's records, by sample id.
    ``classes``: the classes of answers.
    ``found``: the carriers.

    The scores are whether the answer is right, and whether it changes, without the carriers and without the same
    number of other, random words (all other words if there are fewer). The artifact ``carried`` has the attributed
    share of each carrier of the explained class, by ``"class: word"``. ``overpredicted`` is, by the same name, 1 if
    the class is predicted but wrong, -1 if it is right but not predicted, and otherwise 0. ``called`` has, for every
    sample with a known class, whether each other class is predicted.
    """
    asked = {}
    for sample in make_canonical(engine, samples):
        if sample.id in explained and (one := _make_variants(sample, found, rng)):
            asked[sample.id] = one
    every = [shown for one in asked.values() for shown in (one.sample, *one.without)]
    answered = iter(judge(engine, task, every))
    judged = {key: [next(answered) for _ in range(3)] for key in asked}
    records = []
    for sample in samples:
        if sample.id not in asked:
            note = (
                "none of its words carries predictions"
                if list_texts(sample.input)
                else "words are counted in texts, and this sample is none"
            )
            noted: dict[str, Any] = {"note": note}
            if (answer := answers.get(sample.id)) is not None:
                said = classes.said(sample, Judged(scores=answer.scores, artifacts=answer.artifacts))
                noted |= _find_called(said, classes.own(sample), found)
            records.append(Record(sample.id, item, {}, artifacts=noted))
        elif error := next((one.error for one in judged[sample.id] if one.error is not None), None):
            records.append(Record(sample.id, item, {}, error))
        else:
            whole, *without = judged[sample.id]
            before = classes.said(sample, whole)
            scores: dict[str, float | None] = {"correct": _score_answer(task, whole)}
            for name, rest in zip(("carriers", "random"), without, strict=True):
                scores[f"correct_without_{name}"] = _score_answer(task, rest)
                after = classes.said(sample, rest)
                scores[f"changed_without_{name}"] = None if before is None or after is None else float(after != before)
            artifacts = _make_artifacts(asked[sample.id], explained[sample.id], answers.get(sample.id), whole, classes, found)
            records.append(Record(sample.id, item, scores, artifacts=artifacts))
    return records


def _make_variants(sample: Sample, found: Carriers, rng: SampleRng) -> _Asked | None:
    """Return the sample with its variants; None if it contains no carrier."""
    texts = list_texts(sample.input)
    if not texts:
        return None
    spans = spans_in(texts)
    words = _list_words(texts, spans)
    hidden_W = np.isin(words, sorted({word for own in found.values() for word in own}))
    if not hidden_W.any():
        return None
    random_W = np.zeros_like(hidden_W)
    # Only other words are drawn: in a short text, a draw from all words would often include the carrier.
    random_W[rng(sample.id).permutation(np.flatnonzero(~hidden_W))[: hidden_W.sum()]] = True
    return _Asked(sample, words, (_remove_words(sample, spans, hidden_W), _remove_words(sample, spans, random_W)))


def _remove_words(sample: Sample, spans: Spans, hidden_W: NDArray[np.bool_]) -> Sample:
    return replace(sample, input=remove_parts(sample.input, spans, hidden_W, "cut"))


def _score_answer(task: Task, judged: Judged) -> float | None:
    """Return the primary score of an answer; None if it has none."""
    return (judged.scores or {}).get(task.primary)


def _make_artifacts(
    asked: _Asked, explained: Record, answer: Record | None, whole: Judged, classes: AnswerClasses, found: Carriers
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Return the artifacts ``carried``, ``overpredicted`` and ``called`` of a sample with a carrier."""
    sample = asked.sample
    own = sum_by_word(sample, explained)
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
    return {"carried": carried, "overpredicted": over, **_find_called(said, wanted, found)}


def _find_called(said: object, wanted: str | None, found: Carriers) -> dict[str, dict[str, float]]:
    """Return the artifact ``called``: whether each class other than the correct one is predicted."""
    return {} if wanted is None else {"called": {label: float(said == label) for label in found if label != wanted}}


def read_word_records(store: Store, item: StoredItem, kind: str, /) -> Iterator[tuple[Record, Any, str | None]]:
    """Yield (record, target, group) as `Store.join` does, with one artifact as the record's scores.

    ``kind``: the artifact, ``carried`` or ``overpredicted``.
    """
    for record, target, group in store.join(item, {kind}):
        yield Record(record.sample_id, item.item, record.artifacts.get(kind, {})), target, group
