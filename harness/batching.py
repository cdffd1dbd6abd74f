"""Samples made ready for work that is not a request: in the model's own form, and in batches that can be stacked."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

from .errors import UserError
from .inputs import Image, size_of
from .plugins import ModelPort
from .samples import Sample


def canonical(engine: ModelPort, samples: Sequence[Sample], /) -> list[Sample]:
    """The samples as the model sees them (images at its size). One that cannot be prepared stays as it is: asking it says why."""
    return [_canonical(engine, sample) for sample in samples]


def _canonical(engine: ModelPort, sample: Sample) -> Sample:
    if sample.metadata.get("error"):
        return sample
    try:
        return replace(sample, input=engine.canonical(sample.input))
    except UserError:
        raise
    except Exception:  # noqa: BLE001 - the same preparation fails when the model is asked, and becomes this sample's record there
        return sample


def batches(engine: ModelPort, samples: Sequence[Sample], /) -> list[list[int]]:
    """Indices of samples that share a batch: images of one shape, texts by length, within the engine's budget. Longest first."""
    alike: dict[Hashable, list[int]] = {}
    for index, sample in enumerate(samples):
        alike.setdefault(_shape(sample.input), []).append(index)
    return [
        [members[i] for i in batch] for members in alike.values() for batch in engine.groups([size_of(samples[i].input) for i in members])
    ]


def _shape(value: Any) -> Hashable:
    return value.pixels.shape if isinstance(value, Image) else None
