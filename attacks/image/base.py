"""Base classes of image attacks, and the worst case of several attacks or radii."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ...harness.api.attack import Attack
from ...harness.api.errors import ConfigError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Classify
from ...harness.api.samples import Sample, SampleRng
from ...harness.threats import LpBall
from .victims import Victims, attack_samples

WHITE_BOX = frozenset({"classify", "image", "gradients"})
BLACK_BOX = frozenset({"classify", "image"})


class ImageAttack(Attack[LpBall]):
    """Base class of image attacks. A subclass defines `search`, which attacks a batch of images within one threat.

    epsilon: radius of the threat in [0, 1] pixel units; None for no limit.
    norm: ``linf`` or ``l2``.
    epsilons: further radii below epsilon. A fixed-radius attack tries them in increasing order on the samples that are
        still correct. The distance of an adversarial example then shows at which radii the sample is broken.
    Raises `ConfigError` if a radius or the norm is invalid.
    """

    requires = WHITE_BOX

    def __init__(self, epsilon: float | None, norm: str, epsilons: Sequence[float] = ()) -> None:
        self.threat = LpBall(epsilon, norm)
        wrong = [
            e
            for e in epsilons
            if isinstance(e, bool) or not isinstance(e, int | float) or not 0 <= e <= (math.inf if epsilon is None else epsilon)
        ]
        if wrong:
            raise ConfigError(f"epsilons must be radii from 0 to epsilon ({epsilon}), not {wrong[0]!r}")
        for radius in epsilons:
            LpBall(radius, norm)  # raises for an invalid radius
        self.epsilons = tuple(sorted(set(epsilons)))

    def search(self, victims: Victims, /) -> None:
        """Search for adversarial examples within ``victims.threat`` and store them in ``victims``."""
        raise NotImplementedError

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: LpBall, rng: SampleRng, /) -> Sequence[Sample]:
        if not isinstance(threat, LpBall):
            raise ConfigError(f"this attack works inside an L-p ball (threat type 'lp'), not a {type(threat).__name__}")
        return find_worst_case(engine, samples, self.tries(threat), rng)

    def tries(self, threat: LpBall, /) -> list[Try]:
        """Return the attacks to run in order, each with its threat; by default this attack at each radius."""
        smaller = [replace(threat, epsilon=e) for e in self.epsilons if threat.epsilon is None or e < threat.epsilon]
        return [Try("", self, ball) for ball in (*smaller, threat)]


class NearestTwin(ImageAttack):
    """Base class of minimum-distance attacks, where one search covers all radii.

    If the nearest misclassified image is beyond the threat's epsilon, the adversarial example is its projection onto
    the ball. ``nearest`` is the distance before the projection.
    """

    def tries(self, threat: LpBall, /) -> list[Try]:
        return [Try("", self, threat)]


class Try(NamedTuple):
    """An attack to run.

    name: name in ``broken_by``; empty for none.
    attack: the attack.
    threat: ball to search.
    """

    name: str
    attack: ImageAttack
    threat: LpBall


def find_worst_case(engine: ModelPort, samples: Sequence[Sample], tries: Sequence[Try], rng: SampleRng, /) -> list[Sample]:
    """Run attacks in turn and return the adversarial example of the first that succeeds, or of the last.

    Each attack only runs on the samples that are still correct. The success is checked with one query to the model
    instead of trusting the attack.

    engine: the engine.
    samples: samples to attack.
    tries: attacks in order.
    rng: source of randomness by sample id.
    Returns the samples with adversarial inputs, in order; their metadata has the total number of queries.
    """
    twins: dict[int, Sample] = {}
    spent: dict[int, dict[str, Any]] = {}
    standing = list(range(len(samples)))
    for name, attack, threat in tries:
        some = [samples[i] for i in standing]
        proposed = attack_samples(engine, some, threat, rng, attack.search, needs_gradients="gradients" in attack.requires)
        for i, twin in zip(standing, proposed, strict=True):
            spent[i] = _add_facts(spent.get(i), twin.metadata)
            twins[i] = twin
        if len(tries) == 1 and not name:
            break
        is_fooled = _find_fooled(engine, proposed)
        for i, fooled in zip(standing, is_fooled, strict=True):
            spent[i]["num_queries"] += 1
            if name:
                spent[i]["broken_by"] = name if fooled else None
        standing = [i for i, fooled in zip(standing, is_fooled, strict=True) if not fooled]
        if not standing:
            break
    return [replace(twins[i], metadata={**twins[i].metadata, **spent[i]}) for i in range(len(samples))]


def _add_facts(before: dict[str, Any] | None, now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the total number of queries, and whether the gradient was zero in all attacks that computed one.

    before: totals of the earlier attacks; None for the first attack.
    now: facts of the current attack.
    """
    found: dict[str, Any] = {"num_queries": now["num_queries"] + (before["num_queries"] if before else 0)}
    flat = [facts["zero_gradient"] for facts in (before, now) if facts and "zero_gradient" in facts]
    return {**found, "zero_gradient": all(flat)} if flat else found


def _find_fooled(engine: ModelPort, twins: Sequence[Sample]) -> list[bool]:
    """Return whether the model misclassifies each sample."""
    answers = engine.run([Classify(twin.input, twin.labels) for twin in twins])
    return [int(np.argmax(answer.values)) != twin.target for twin, answer in zip(twins, answers, strict=True)]
