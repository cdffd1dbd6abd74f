"""What image attacks share: their threat, a ladder of radii for the curve of robust accuracy, and the worst case of several tries."""

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
from .victims import Victims, attacked

WHITE_BOX = frozenset({"classify", "image", "gradients"})
BLACK_BOX = frozenset({"classify", "image"})


class ImageAttack(Attack[LpBall]):
    """Base of the attacks of this folder. A method gives `search`, which works on a batch of images inside of one threat.

    ``epsilons``: further radii, below the threat's, at which robust accuracy is wanted. An attack inside of a ball tries them one after the
    other, the smallest first, on the samples that still stand; then how far a twin is says from which radius on the sample falls.
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
            raise ConfigError(f"epsilons are radii from 0 to epsilon ({epsilon}), not {wrong[0]!r}")
        for radius in epsilons:
            LpBall(radius, norm)  # raises for one that no ball can have
        self.epsilons = tuple(sorted(set(epsilons)))

    def search(self, victims: Victims, /) -> None:
        raise NotImplementedError

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: LpBall, rng: SampleRng, /) -> Sequence[Sample]:
        if not isinstance(threat, LpBall):
            raise ConfigError(f"this attack works inside an L-p ball (threat type 'lp'), not a {type(threat).__name__}")
        return worst_case(engine, samples, self.tries(threat), rng)

    def tries(self, threat: LpBall, /) -> list[Try]:
        """What is tried on the samples, one after the other."""
        smaller = [replace(threat, epsilon=e) for e in self.epsilons if threat.epsilon is None or e < threat.epsilon]
        return [Try("", self, ball) for ball in (*smaller, threat)]


class NearestTwin(ImageAttack):
    """Base of the attacks that look for the nearest misclassified image: one search serves all radii. Where that image is beyond the
    threat's epsilon, the twin is on the way to it, on the ball's surface, and ``nearest`` says how far it would have been."""

    def tries(self, threat: LpBall, /) -> list[Try]:
        return [Try("", self, threat)]


class Try(NamedTuple):
    """``name``: what a twin's ``broken_by`` calls it, if it is called anything."""

    name: str
    attack: ImageAttack
    threat: LpBall


def worst_case(engine: ModelPort, samples: Sequence[Sample], tries: Sequence[Try], rng: SampleRng, /) -> list[Sample]:
    """The twin of the first try that fools the model, or of the last one. Only survivors go on, in batches of their own.

    Whether the model is fooled, it is asked (one query); nothing rests on what an attack says of itself.
    """
    twins: dict[int, Sample] = {}
    spent: dict[int, dict[str, Any]] = {}
    standing = list(range(len(samples)))
    for name, attack, threat in tries:
        some = [samples[i] for i in standing]
        proposed = attacked(engine, some, threat, rng, attack.search, needs_gradients="gradients" in attack.requires)
        for i, twin in zip(standing, proposed, strict=True):
            spent[i] = _added(spent.get(i), twin.metadata)
            twins[i] = twin
        if len(tries) == 1 and not name:
            break
        is_fooled = _fooled(engine, proposed)
        for i, fooled in zip(standing, is_fooled, strict=True):
            spent[i]["num_queries"] += 1
            if name:
                spent[i]["broken_by"] = name if fooled else None
        standing = [i for i, fooled in zip(standing, is_fooled, strict=True) if not fooled]
        if not standing:
            break
    return [replace(twins[i], metadata={**twins[i].metadata, **spent[i]}) for i in range(len(samples))]


def _added(before: dict[str, Any] | None, now: Mapping[str, Any]) -> dict[str, Any]:
    """Queries in all; a gradient that was flat throughout."""
    found: dict[str, Any] = {"num_queries": now["num_queries"] + (before["num_queries"] if before else 0)}
    flat = [facts["zero_gradient"] for facts in (before, now) if facts and "zero_gradient" in facts]
    return {**found, "zero_gradient": all(flat)} if flat else found


def _fooled(engine: ModelPort, twins: Sequence[Sample]) -> list[bool]:
    answers = engine.run([Classify(twin.input, twin.labels) for twin in twins])
    return [int(np.argmax(answer.values)) != twin.target for twin, answer in zip(twins, answers, strict=True)]
