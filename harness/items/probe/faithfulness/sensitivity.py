"""Explain given classes with a probe again: on another model, or for inputs with noise.

Max-sensitivity (Yeh et al. 2019, definition 3) is the largest change of the attribution over `NUM_COPIES` noisy copies
of the input (module `noise`), relative to the norm of the attribution as in Captum.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ....api.model import ModelInfo
from ....api.model_port import ModelPort
from ....api.probe import Probe
from ....api.samples import Attribution, Sample, SampleRng
from ....modalities.base import require_modality
from ....modalities.inputs import Input
from .noise import RADIUS, NoisyPort, has_noise
from .scored_attribution import Subject

NUM_COPIES = 5

Attribute = Callable[[ModelPort, Probe, Sequence[Sample]], list[Attribution | str]]
"""Returns the checked attribution of each sample, or its error."""


def explain_class(
    attribute: Attribute, port: ModelPort, probe: Probe, asked: Mapping[str, tuple[Sample, int]], /
) -> dict[str, Attribution | str]:
    """Explain the given class of each sample; return the attributions or errors, with the keys of ``asked``.

    attribute: runs the probe on samples.
    port: the model to explain.
    asked: (sample, class) by key.

    A probe without ``target`` cannot choose the class, and may explain another one.
    """
    if probe.target is not None:
        probe = copy.copy(probe)
        probe.target = "gold"
    found = attribute(port, probe, [replace(sample, target=target) for sample, target in asked.values()])
    return dict(zip(asked, found, strict=True))


def explain_alike(
    attribute: Attribute, port: ModelPort, probe: Probe, asked: Mapping[str, tuple[Sample, int]], /
) -> dict[str, Attribution]:
    """Explain the given class of each sample, and return only the attributions that succeed and explain this class.

    The parameters are those of `explain_class`.
    """
    found = explain_class(attribute, port, probe, asked)
    return {key: a for key, a in found.items() if isinstance(a, Attribution) and a.target == asked[key][1]}


def compute_max_sensitivity(
    attribute: Attribute, engine: ModelPort, other: ModelPort | None, probe: Probe, subjects: Sequence[Subject], rng: SampleRng, /
) -> dict[str, dict[str, float]]:
    """Compute max-sensitivity for the attributions and their controls.

    attribute: runs the probe on samples.
    engine: the model to explain.
    other: the model with random weights; None if there is none.
    subjects: the samples with their attributions.
    rng: draws of the noise. The order of the random control is drawn for each copy.

    Returns the scores by sample id, without samples whose input has no noise.
    """
    ports = {"": engine} if other is None else {"": engine, "_randomised": other}
    found: dict[str, dict[str, float]] = {}
    for number in range(NUM_COPIES):
        noise = SampleRng("noise", rng.seed(""), number)
        copies = {s.sample.id: (s, _copy(engine.info, s.sample.input, noise(s.sample.id))) for s in subjects}
        noisy = {key: (replace(s.sample, input=moved), s.attribution.target) for key, (s, moved) in copies.items() if moved is not None}
        attributions = {c: explain_alike(attribute, NoisyPort(port, noise), probe, noisy) for c, port in ports.items()}
        for key in noisy:
            subject, scores = copies[key][0], found.setdefault(key, {})
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


def _copy(info: ModelInfo, value: Input, draws: np.random.Generator) -> Input | None:
    """Return a noisy copy; a text unchanged, as its noise is in the embeddings; None if the value has no noise."""
    moved: Input | None = require_modality(value).noisy(value, draws, RADIUS)
    return moved if moved is not None else value if has_noise(info, value) else None
