"""Prepare samples for work other than requests: canonical inputs, batches that can be stacked, isolated failures."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TypeVar

from ..api.errors import describe_error, ends_run
from ..api.model_port import ModelPort
from ..api.requests import Classify
from ..api.samples import Sample
from ..modalities.base import require_modality
from ..modalities.inputs import measure_size

S = TypeVar("S")
T = TypeVar("T")


def make_canonical(engine: ModelPort, samples: Sequence[Sample], /) -> list[Sample]:
    """Return the samples with inputs as the model sees them (images at its size).

    A sample that cannot be prepared stays unchanged; a request about it fails with the reason.
    """
    return [_make_canonical(engine, sample) for sample in samples]


def _make_canonical(engine: ModelPort, sample: Sample) -> Sample:
    if sample.metadata.get("error"):
        return sample
    try:
        return replace(sample, input=engine.canonical(sample.input))
    except BaseException as error:
        if ends_run(error):
            raise
        # The same preparation fails in a request, whose error goes into the record of this sample.
        return sample


def group_alike(engine: ModelPort, samples: Sequence[Sample], /) -> list[list[int]]:
    """Group indices of samples that can be stacked: of the same shape and batch key of the model."""
    groups: dict[Hashable, list[int]] = {}
    for index, sample in enumerate(samples):
        groups.setdefault(
            (require_modality(sample.input).stack_key(sample.input), engine.alike(Classify(sample.input, sample.labels))), []
        ).append(index)
    return list(groups.values())


def group_batches(engine: ModelPort, samples: Sequence[Sample], /) -> list[list[int]]:
    """Group indices of samples into batches: `group_alike` samples by length, longest first, within the engine's budget."""
    return [
        [members[i] for i in batch]
        for members in group_alike(engine, samples)
        for batch in engine.groups([measure_size(samples[i].input) for i in members])
    ]


def isolate_failures(work: Callable[[Sequence[S]], list[T]], samples: Sequence[S], /) -> list[T | str]:
    """Return one result per sample (or pair), or the error for each on which ``work`` fails.

    If ``work`` raises, it is run again for each half of the samples.
    """
    if not samples:
        return []
    try:
        return list(work(samples))
    except BaseException as error:
        if ends_run(error):
            raise
        # A plugin that fails on one sample must not lose the others.
        message = describe_error(error)
    # Outside of the except clause, the traceback no longer holds the memory of the failed batch.
    if len(samples) == 1:
        return [message]
    middle = len(samples) // 2
    return [result for half in (samples[:middle], samples[middle:]) for result in isolate_failures(work, half)]
