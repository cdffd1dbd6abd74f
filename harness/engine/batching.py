"""Samples made ready for work that is not a request: in the model's own form, in batches that can be stacked, one's failure its own."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TypeVar

from ..api.errors import ends_run, sentence
from ..api.model_port import ModelPort
from ..api.requests import Classify
from ..api.samples import Sample
from ..modalities.base import known_modality
from ..modalities.inputs import size_of

S = TypeVar("S")
T = TypeVar("T")


def canonical(engine: ModelPort, samples: Sequence[Sample], /) -> list[Sample]:
    """The samples as the model sees them (images at its size). One that cannot be prepared stays as it is: asking it says why."""
    return [_canonical(engine, sample) for sample in samples]


def _canonical(engine: ModelPort, sample: Sample) -> Sample:
    if sample.metadata.get("error"):
        return sample
    try:
        return replace(sample, input=engine.canonical(sample.input))
    except BaseException as error:
        if ends_run(error):
            raise
        # The same preparation fails when the model is asked, and becomes this sample's record there.
        return sample


def alike(engine: ModelPort, samples: Sequence[Sample], /) -> list[list[int]]:
    """Indices of samples that can be stacked: of one shape, and alike to the model."""
    found: dict[Hashable, list[int]] = {}
    for index, sample in enumerate(samples):
        found.setdefault(
            (known_modality(sample.input).stack_key(sample.input), engine.alike(Classify(sample.input, sample.labels))), []
        ).append(index)
    return list(found.values())


def batches(engine: ModelPort, samples: Sequence[Sample], /) -> list[list[int]]:
    """Indices of samples that share a batch: those that are `alike`, by length, within the engine's budget. Longest first."""
    return [
        [members[i] for i in batch]
        for members in alike(engine, samples)
        for batch in engine.groups([size_of(samples[i].input) for i in members])
    ]


def isolated(work: Callable[[Sequence[S]], list[T]], samples: Sequence[S], /) -> list[T | str]:
    """The work's results, or the error of each sample (or pair) that it fails on: where it raises, each half is tried on its own."""
    if not samples:
        return []
    try:
        return list(work(samples))
    except BaseException as error:
        if ends_run(error):
            raise
        # A plugin that fails on one sample must not lose the others.
        failed = sentence(error)
    # Outside of the except clause, so that the error's traceback no longer holds the failed batch's memory.
    if len(samples) == 1:
        return [failed]
    middle = len(samples) // 2
    return [result for half in (samples[:middle], samples[middle:]) for result in isolated(work, half)]
