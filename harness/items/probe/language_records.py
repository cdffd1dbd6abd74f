"""Records of probes on a language model's task: one continuation per sample, optionally explained word by word."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...api.errors import SampleError
from ...api.model_port import ModelPort
from ...api.probe import Probe
from ...api.requests import Classify
from ...api.samples import Attribution, Record, Sample, SampleRng
from ...api.task import Task
from ...engine import Engine
from ...engine.batching import isolate_failures
from ...engine.continuations import ContinuationPort, Frame, frame_samples
from ...modalities.text import TextPair
from ...modalities.words import word_spans
from ...scorecard.names import DEFAULT_SCORES
from ...store.attribution_codec import Steps, round_to_half
from .records import make_probe_records


def make_language_records(
    engine: Engine,
    item: str,
    task: Task,
    probe: Probe,
    rng: SampleRng,
    samples: Sequence[Sample],
    scores: Collection[str] = DEFAULT_SCORES,
    seed: int = 0,
    each_word: bool = False,
) -> list[Record]:
    """Explain one continuation per sample, and return one record per sample.

    Samples with the same frame (the prompt around the text) are explained in one call of `make_probe_records`.

    task: the task that builds the prompts.
    each_word: whether to explain each word of the continuation as well; the records have the result of `explain_each_word`.

    The other parameters are those of `make_probe_records`. A record also has the explained ``continuation``.
    """
    explained = OneContinuation(probe)
    frames: dict[Frame, list[Sample]] = {}
    for frame, sample in frame_samples(engine, task, samples, explained.target):
        frames.setdefault(frame, []).append(sample)
    found: dict[str, Record] = {}
    for frame, members in frames.items():
        port = ContinuationPort(engine, frame)
        records = make_probe_records(port, item, explained, rng, members, scores, seed)
        if each_word:
            told = [(s, r) for s, r in zip(members, records, strict=True) if "attribution" in r.artifacts]
            words = explain_each_word(port, probe, [(s, str(r.artifacts["continuation"])) for s, r in told])
            added = {r.sample_id: kept for (_, r), kept in zip(told, words, strict=True)}
            records = [replace(r, artifacts={**r.artifacts, **added.get(r.sample_id, {})}) for r in records]
        found.update({record.sample_id: record for record in records})
    return [found[sample.id] for sample in samples]


class OneContinuation(Probe):
    """A probe that applies another one to a single continuation, so that the likelihoods of the others have no effect.

    target: which continuation to explain: the likeliest (``predicted``) or the sample's target (``gold``).
    """

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self.requires = probe.requires
        self.target = probe.target or "predicted"

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> list[Attribution]:
        chosen = self._choose_continuations(engine, samples)
        alone = [replace(s, labels=(s.labels[c],), target=0) for s, c in zip(samples, chosen, strict=True)]
        found = self._probe.attribute(engine, alone)
        return [
            replace(a, target=c, metadata={**a.metadata, "continuation": s.labels[0]}) for a, c, s in zip(found, chosen, alone, strict=True)
        ]

    def _choose_continuations(self, engine: ModelPort, samples: Sequence[Sample]) -> list[int]:
        """Return the index of the continuation to explain for each sample."""
        if self.target == "gold":
            wrong = next((s for s in samples if not isinstance(s.target, int | np.integer) or not 0 <= s.target < len(s.labels)), None)
            if wrong is not None:
                raise SampleError(f"target: gold needs the index of the right continuation, not {wrong.target!r}")
            return [int(s.target) for s in samples]
        several = iter(engine.run([Classify(s.input, s.labels) for s in samples if len(s.labels) > 1]))
        return [int(np.argmax(next(several).values)) if len(s.labels) > 1 else 0 for s in samples]


# ── word by word ──────────────────────────────────────────────────────────────────────────────────────────────────────


def explain_each_word(port: ContinuationPort, probe: Probe, explained: Sequence[tuple[Sample, str]], /) -> list[Mapping[str, Any]]:
    """Explain each word of the continuations, and return the artifacts for the record of each sample.

    Each word is explained as a separate continuation. Its input is a pair of the sample's text and the preceding words,
    and the parts are the words of both.

    port: the model, with the samples' frame.
    explained: the samples, each with its continuation.

    The artifact ``each_word`` has ``values`` [num_words, num_parts + num_words] and ``spans``, the (start, end) of each
    word in the continuation. A row of ``values`` belongs to a word of the continuation. The columns are the words of
    the sample's text, then those of the continuation; they are 0 from the row's own word on. If a word cannot be
    explained, the artifact ``each_word_note`` has the error instead.
    """
    asked = [list(_list_steps(sample, continuation)) for sample, continuation in explained]
    steps = [step for own in asked for step in own]
    answers = iter(isolate_failures(lambda some: port.in_memory(lambda: list(probe.attribute(port, some))), steps))
    found = [[next(answers) for _ in own] for own in asked]
    return [_make_matrix(sample, continuation, rows) for (sample, continuation), rows in zip(explained, found, strict=True)]


def _list_steps(sample: Sample, continuation: str) -> Iterator[Sample]:
    """Yield a sample per word of the continuation, with the word as its label.

    A word includes the whitespace before it, and the last word the rest of the continuation.
    """
    ends = [end for _, end in word_spans(continuation)]
    edges = [0, *ends[:-1], len(continuation)] if ends else []
    for i, (start, end) in enumerate(itertools.pairwise(edges)):
        shown = TextPair(str(sample.input), continuation[:start])
        yield replace(sample, id=f"{sample.id}#{i}", input=shown, labels=(continuation[start:end],), target=0)


def _make_matrix(sample: Sample, continuation: str, rows: Sequence[Attribution | str]) -> Mapping[str, Any]:
    """Return the artifacts of `explain_each_word` for one sample. ``rows``: the attribution or error of each word."""
    wrong = next((row for row in rows if isinstance(row, str)), "")
    if wrong:
        return {"each_word_note": wrong}
    words = word_spans(continuation)
    values = np.zeros((len(words), len(word_spans(str(sample.input))) + len(words)))
    for row, found in zip(values, rows, strict=True):
        assert isinstance(found, Attribution)
        row[: found.values.size] = found.values
    if not np.isfinite(values).all():
        return {"each_word_note": "an attribution holds NaN or infinity; half precision is the usual cause: set dtype to float32"}
    return {"each_word": {"values": round_to_half(values.astype(np.float32)), "spans": Steps(words)}}
