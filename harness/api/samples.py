"""Samples and records: the facts a run is made of. One ``id`` runs through prediction, adversarial twin and attribution."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..modalities.inputs import Input


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a data set.

    ``target``: class index, text, or None where there is none. ``labels``: names of the classes ``target`` counts through.
    ``group``: samples that are not independent share one (bootstraps resample groups). ``metadata["slice"]``: the part of the set that
    the sample belongs to, for which each metric has a row of its own.
    """

    id: str
    input: Input
    target: Any = None
    labels: tuple[str, ...] = ()
    group: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __reduce__(self) -> tuple[type[Sample], tuple[Any, ...]]:
        """Pickled as a call, for a `Spool` reads each sample several times: dataclasses' own way takes three times as long."""
        return Sample, (self.id, self.input, self.target, self.labels, self.group, self.metadata)


@dataclass(frozen=True, slots=True)
class Attribution:
    """How much each part of an input moved one output.

    Text: ``values`` [num_words] with ``spans``, each word's (start, end) in the original text. Images: ``values`` [H, W], ``spans`` empty.
    ``parts``: what the values are about: words, pixels, time, frames, boxes, or what a `Modality` calls its own. Where a probe says
    nothing, they are the parts of the input's modality, and the harness fills that in.
    ``target``: the explained class. ``completeness_error``: |sum of attributions - (output - baseline output)| in the output's unit
    (Sundararajan et al. 2017, axiom 3), None where the method has no such axiom.
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
    """What happened to one sample in one item of the plan. ``scores`` hold None for what could not be scored, never NaN."""

    sample_id: str
    item: str
    scores: Mapping[str, float | None]
    error: str | None = None
    artifacts: Mapping[str, Any] = field(default_factory=dict)


def seed_of(*parts: object) -> int:
    """A 63-bit seed from the parts' text, the same on every machine and in every order of work."""
    text = "\x1f".join(str(p) for p in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1


class SampleRng:
    """Random generators derived from a sample's id, so that neither order nor batch size can change a draw."""

    def __init__(self, *scope: object) -> None:
        self._scope = scope

    def seed(self, sample_id: str, /) -> int:
        return seed_of(*self._scope, sample_id)

    def __call__(self, sample_id: str, /) -> np.random.Generator:
        return np.random.default_rng(self.seed(sample_id))
