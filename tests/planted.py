"""Runs of models whose differences are known: a plugin file with a task, a model with planted faults, and an attack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .toys import windtunnel

PLUGINS = '''
import hashlib
import math
from dataclasses import replace
from statistics import NormalDist

from windtunnel.harness.api.model import Model, ModelInfo
from windtunnel.harness.api.registry import plugin
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.threats import EditBudget

LABELS = ("negative", "positive")


@plugin("tasks", "numbered")
class Numbered:
    """Texts with a number, whose parity is the class, at both ends. Of 20 samples, one is in slice a, the others in b to d."""

    name = "numbered"
    requires = frozenset({"classify", "text"})
    primary = "correct"
    labels = LABELS
    metrics = ("accuracy", "ece")

    def __init__(self, num: int = 400, first: int = 0, wording: str = "{}"):
        self.num, self.first, self.wording = num, first, wording

    def samples(self):
        for i in range(self.first, self.first + self.num):
            part = "bcd"[i // 2 % 3] if i // 2 % 20 else "a"
            yield Sample(f"s{i}", f"{i} {('bad', 'good')[i % 2]} in {part} {i}", i % 2, LABELS, None, {"slice": part})

    def requests(self, sample):
        return [Classify(self.wording.format(sample.input), LABELS)]

    def score(self, sample, responses):
        values = responses[0].values
        return {"correct": float((values[1] > values[0]) == (sample.target == 1))}

    def predict(self, sample, responses):
        values = responses[0].values
        return {"prediction": int(values[1] > values[0]), "target": sample.target, "probabilities": softmax(values)}


@plugin("models", "planted")
class Planted:
    """A model whose margin of a text is normal, right for about 84 %.

    ``noise``: the standard deviation of the part of the margin that is its own (``seed``).

    ``overall``: the probability that a right answer is made wrong. ``of_slice``: the same in slice a.
    ``attacked``: how much an attacked text's margin falls. ``redundant``: whether it reads the number at either end, so
    that no single word shows what it uses. ``rounds``: of useless work for a text.
    """

    def __init__(
        self, target, *, seed: int = 0, overall: float = 0.0, of_slice: float = 0.0, attacked: float = 0.6, redundant: bool = False,
        noise: float = 0.3, rounds: int = 0
    ):
        self.facts = (seed, overall, of_slice, attacked, redundant, noise, rounds)
        self.info = ModelInfo({"classify": {"text"}}, labels=LABELS)

    def inspect(self):
        return self.info

    def load(self, device, dtype):
        return PlantedModel(self.facts)


def softmax(values):
    highest = [math.exp(value - max(values)) for value in values]
    return [value / sum(highest) for value in highest]


def draw(*parts):
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return (int.from_bytes(digest[:7], "big") + 0.5) / 2**56


class PlantedModel(Model):
    name = "planted"
    device = "cpu"

    def __init__(self, facts):
        self.facts, self.fingerprint = facts, f"planted:{facts}"

    def classify(self, batch):
        return [self.answer(str(request.input).split()) for request in batch]

    def answer(self, words):
        seed, overall, of_slice, attacked, redundant, noise, rounds = self.facts
        for place in range(rounds):
            draw(place)
        numbers = [word for word in (words if redundant else words[:1]) if word.isdigit()]
        if not numbers:
            return Logits((0.0, 0.0))
        number = int(numbers[0])
        margin = 1.0 + NormalDist().inv_cdf(draw(number)) + noise * NormalDist().inv_cdf(draw(number, seed))
        if margin > 0 and draw(number, "fault") < overall + of_slice * ("a" in words):
            margin = -margin
        if "really" in words:
            margin -= attacked
        signed = margin if number % 2 else -margin
        return Logits((-signed, signed))


@plugin("attacks", "emphasis")
class Emphasis:
    """Adds a word."""

    requires = frozenset({"classify", "text"})

    def __init__(self):
        self.threat = EditBudget(max_words=1)

    def perturb(self, engine, samples, threat, rng):
        return [replace(s, input=s.input.replace(" in ", " really in "), metadata={"num_queries": 1}) for s in samples]
'''


WHOLE: dict[str, Any] = {
    "attacks": [{"attack": "emphasis", "limit": 1200}],
    "probes": [{"probe": "occlusion", "limit": 120, "scores": ["erasure"]}],
}
"""Keys of a suite in which each of the `FAULTS` shows, with 6,000 samples."""

NOISE = 0.1
"""Two models with other seeds answer 3 % of the samples differently."""

ROUNDS = 20

FAULTS: dict[str, dict[str, Any]] = {
    "overall": {"overall": 0.024}, "one slice": {"of_slice": 0.12}, "robustness": {"attacked": 0.9}, "explanation": {"redundant": True},
    "latency": {"rounds": 3 * ROUNDS},
}  # fmt: skip
"""The settings of a model that is worse in one way. Accuracy falls by 2 points overall, or by 10 in slice a."""

GATES: dict[str, dict[str, Any]] = {
    "overall": {"check": "numbered.accuracy", "drop": 0.012},
    "one slice": {"check": "numbered.accuracy", "drop": 0.03, "slices": "every"},
    "robustness": {"check": "emphasis(numbered).robust_accuracy", "drop": 0.06},
    "explanation": {"check": "occlusion(numbered).comprehensiveness", "drop": 0.1},
    "latency": {"check": "numbered.seconds_per_sample", "relative": 0.25},
}
"""The gate that finds each fault."""


def run_planted(folder: Path, name: str, /, suite: dict[str, Any] | None = None, task: dict[str, Any] | None = None, **faults: Any) -> Path:
    """Run the model with these faults on the planted task; the run folder.

    ``suite``: further keys of the suite. ``task``: settings of the task.
    """
    plugins = folder / "planted_plugins.py"
    plugins.write_text(PLUGINS)
    whole: dict[str, Any] = {
        "name": "planted", "models": [{"model": "planted:x", "name": "model", **faults}], "tasks": [{"task": "numbered", **(task or {})}],
        "plugins": [plugins.name], "reports": ["json"], "chunk": 64, **(suite or {}),
    }  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    answer = windtunnel("run", path, "--out", folder / name, "-q")
    assert answer.code == 0, answer.out + answer.err
    return folder / name
