"""Asking a probe again about classes that are already chosen: on another model, or of inputs with a little noise.

Max-sensitivity (Yeh et al. 2019, definition 3): the largest change of the attribution, over `NUM_COPIES` copies of the input with noise
from a ball of radius `RADIUS`, relative to its own norm as in Captum. The ball is uniform in each coordinate, and the radius a share of the
range of the input's values. Noise is added to pixels; of text to the embeddings of the tokens that are not special, where the probe
follows gradients.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...inputs import Image, Input
from ...plugins import Differentiable, Encoded, ModelInfo, ModelPort
from ...requests import Classify, LogLikelihood, Request
from ...samples import Attribution, Sample, SampleRng
from .subject import Subject

if TYPE_CHECKING:
    import torch

NUM_COPIES = 5
RADIUS = 0.02

Attribute = Callable[[ModelPort, Any, Sequence[Sample]], list[Attribution | str]]
"""The probe's checked attributions, or each sample's error."""


def explained_as(
    attribute: Attribute, port: ModelPort, probe: Any, asked: Mapping[str, tuple[Sample, int]], /
) -> dict[str, Attribution | str]:
    """The probe's attributions of these samples' given classes, by id; or why there is none. A probe that has no ``target`` explains what
    it wants."""
    if hasattr(probe, "target"):
        probe = copy.copy(probe)
        probe.target = "gold"
    found = attribute(port, probe, [replace(sample, target=target) for sample, target in asked.values()])
    return dict(zip(asked, found, strict=True))


def explained_alike(
    attribute: Attribute, port: ModelPort, probe: Any, asked: Mapping[str, tuple[Sample, int]], /
) -> dict[str, Attribution]:
    """The same, without those that fail or are about another class."""
    found = explained_as(attribute, port, probe, asked)
    return {key: a for key, a in found.items() if isinstance(a, Attribution) and a.target == asked[key][1]}


def max_sensitivities(
    attribute: Attribute, engine: ModelPort, other: ModelPort | None, probe: Any, subjects: Sequence[Subject], rng: SampleRng, /
) -> dict[str, dict[str, float]]:
    """By the samples' ids. The random control's order is drawn anew for each copy."""
    ports = {"": engine} if other is None else {"": engine, "_randomised": other}
    found: dict[str, dict[str, float]] = {}
    for number in range(NUM_COPIES):
        noise = SampleRng("noise", rng.seed(""), number)
        noisy = {s.sample.id: (replace(s.sample, input=_noisy(s.sample.input, noise(s.sample.id))), s.attribution.target) for s in subjects}
        attributions = {c: explained_alike(attribute, NoisyPort(port, noise), probe, noisy) for c, port in ports.items()}
        for subject in subjects:
            key, scores = subject.sample.id, found.setdefault(subject.sample.id, {})
            before = subject.rankings[""].values
            moved = {c: (subject.rankings[c].values, attributions[c][key].values.reshape(-1).astype(np.float64)) for c in ports
                     if c in subject.rankings and key in attributions[c]}  # fmt: skip
            moved["_random"] = before, before[noise(f"order of {key}").permutation(before.size)]
            for control, (own, now) in moved.items():
                size = float(np.linalg.norm(own))
                if size and own.shape == now.shape:
                    change = float(np.linalg.norm(now - own)) / size
                    scores[f"max_sensitivity{control}"] = max(change, scores.get(f"max_sensitivity{control}", 0.0))
    return {key: scores for key, scores in found.items() if "max_sensitivity" in scores}


def _noisy(value: Input, draws: np.random.Generator) -> Input:
    if not isinstance(value, Image):
        return value
    pixels = np.asarray(value.pixels, dtype=np.float32) / np.float32(255 if value.pixels.dtype == np.uint8 else 1)
    noise = draws.uniform(-RADIUS, RADIUS, pixels.shape).astype(np.float32)
    return Image(np.clip(pixels + noise, 0, 1))


class NoisyPort:
    """A model whose text embeddings have noise, the same for the same text."""

    def __init__(self, engine: ModelPort, rng: SampleRng) -> None:
        self._engine, self._rng = engine, rng
        self.info: ModelInfo = engine.info

    @property
    def roles(self) -> Mapping[str, ModelPort]:
        return self._engine.roles

    def run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        return self._engine.run(requests)

    def try_run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        return self._engine.try_run(requests)

    def asked(self, sample: Sample, /) -> Sequence[Request[Any]]:
        return self._engine.asked(sample)

    def canonical(self, value: Input, /) -> Input:
        return self._engine.canonical(value)

    def alike(self, request: Request[Any], /) -> Hashable:
        return self._engine.alike(request)

    def readings(self, requests: Sequence[Request[Any]], /) -> list[Hashable]:
        return self._engine.readings(requests)

    def groups(self, lengths: Sequence[int], /) -> list[list[int]]:
        return self._engine.groups(lengths)

    @contextmanager
    def differentiable(self) -> Iterator[Differentiable]:
        with self._engine.differentiable() as net:
            yield _Noisy(net, self._rng)


class _Noisy:
    def __init__(self, inner: Differentiable, rng: SampleRng) -> None:
        self._inner, self._rng = inner, rng
        self.attentions, self.readers = getattr(inner, "attentions", None), getattr(inner, "readers", None)
        self.resumes = getattr(inner, "resumes", False)
        self.module, self.tokenizer = inner.module, inner.tokenizer

    def encode(self, requests: Sequence[Classify] | Sequence[LogLikelihood], /) -> Encoded:
        import torch

        encoded = self._inner.encode(requests)
        if encoded.mask_BL is None:
            return encoded
        features = encoded.features.clone()
        for row, (request, spans) in enumerate(zip(requests, encoded.spans, strict=True)):
            places = [i for i, span in enumerate(spans) if tuple(span) != (0, 0)]
            real = features[row, : int(encoded.mask_BL[row].sum())]
            radius = RADIUS * float(real.max() - real.min())
            assert isinstance(request, Classify | LogLikelihood)
            shown = request.input if isinstance(request, Classify) else request.context
            noise = self._rng(str(shown)).uniform(-radius, radius, (len(places), features.shape[-1]))
            features[row, places] += torch.from_numpy(noise).to(features)
        return replace(encoded, features=features)

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        return self._inner.logits(features, encoded, rows)
