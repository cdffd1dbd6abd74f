"""Samples and records. A sample's ``id`` joins its prediction, adversarial twin and attribution."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..modalities.inputs import Input


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a data set.

    ``target``: class index or text; None if there is none. ``labels``: the names of the classes that ``target`` indexes.
    ``group``: the key of samples that are not independent (the bootstrap resamples groups). ``metadata["slice"]``: the slice of the data
    set that the sample belongs to; each metric has a row per slice.
    """

    id: str
    input: Input
    target: Any = None
    labels: tuple[str, ...] = ()
    group: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __reduce__(self) -> tuple[type[Sample], tuple[Any, ...]]:
        """Pickle as a constructor call: a `Spool` reads each sample several times, and the default takes three times as long."""
        return Sample, (self.id, self.input, self.target, self.labels, self.group, self.metadata)


@dataclass(frozen=True, slots=True)
class Attribution:
    """The contribution of each part of an input to one output.

    Text: ``values`` [num_words] with ``spans``, each word's (start, end) in the original text. Images: ``values`` [H, W], ``spans`` empty.
    ``parts``: the kind of parts: words, pixels, time, frames, boxes, or the name of a `Modality`'s parts. If it is empty, the harness sets
    it to the parts of the input's modality.
    ``target``: the explained class. ``completeness_error``: |sum of attributions - (output - baseline output)| in the output's unit
    (Sundararajan et al. 2017, axiom 3); None if the axiom does not apply to the method.
    """

    sample_id: str
    target: int
    values: np.ndarray[Any, np.dtype[np.float32]]
    spans: tuple[tuple[int, int], ...] = ()
    completeness_error: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    parts: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """The result of one sample in one item of the plan. A score that could not be computed is None, never NaN."""

    sample_id: str
    item: str
    scores: Mapping[str, float | None]
    error: str | None = None
    artifacts: Mapping[str, Any] = field(default_factory=dict)


def seed_of(*parts: object) -> int:
    """Return a 63-bit seed derived from the parts' text, equal on every machine and in every order of execution."""
    text = "\x1f".join(str(p) for p in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1


class SampleRng:
    """Creates random generators from sample ids, so that draws depend on neither order nor batch size."""

    def __init__(self, *scope: object) -> None:
        self._scope = scope

    def seed(self, sample_id: str, /) -> int:
        """Return the seed of a sample."""
        return seed_of(*self._scope, sample_id)

    def __call__(self, sample_id: str, /) -> np.random.Generator:
        """Return a new generator for a sample."""
        return np.random.default_rng(self.seed(sample_id))
