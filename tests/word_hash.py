"""A text classifier for searches: a model and its engine in one, and TextAttack's own search on it, one sample after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from windtunnel.attacks.text.textattack_import import serve_stop_words
from windtunnel.harness.api.model import Differentiable, ModelInfo
from windtunnel.harness.api.model_port import ModelPort
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Failure, Logits
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.language.stop_words import ENGLISH
from windtunnel.harness.modalities.inputs import Input

LABELS = ("negative", "positive")


class WordHash:
    """Logits are sums of weights drawn from each word's hash, so every misspelling counts."""

    info = ModelInfo({"classify": {"text"}}, labels=LABELS)

    def __init__(self, roles: Mapping[str, ModelPort] | None = None) -> None:
        self.rounds: list[int] = []
        self.roles = roles or {}

    def logits(self, text: str) -> tuple[float, ...]:
        words = text.split() or [""]
        draws = [hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()[:2] for word in words]
        total = np.array([[byte / 128 - 1 for byte in draw] for draw in draws], dtype=np.float32).mean(axis=0) * 4
        return tuple(float(value) for value in total)

    def try_run(self, requests: Sequence[Any], /) -> list[Any]:
        assert all(isinstance(request, Classify) and request.labels == LABELS for request in requests)
        self.rounds.append(len(requests))
        return [self.answer(str(request.input)) for request in requests]

    def answer(self, text: str) -> Logits | Failure:
        return Logits(self.logits(text))

    def run(self, requests: Sequence[Any], /) -> list[Any]:
        return self.try_run(requests)

    def canonical(self, value: Input, /) -> Input:
        return value

    def differentiable(self) -> AbstractContextManager[Differentiable]:
        raise NotImplementedError

    def alike(self, request: Any, /) -> None:
        return None

    def readings(self, requests: Sequence[Any], /) -> list[Hashable]:
        return list(requests)

    def groups(self, lengths: Sequence[int], /) -> list[list[int]]:
        raise NotImplementedError


Found = tuple[str, str, int]
"""Text, status and number of queries."""


def told(twins: Sequence[Sample]) -> list[tuple[Any, Any, Any]]:
    return [(twin.input, twin.metadata.get("status"), twin.metadata.get("num_queries")) for twin in twins]


def one_by_one(textattack: Any, build: Callable[[Any], Any], samples: Sequence[Sample], model: Any = None) -> tuple[list[Found], int]:
    """TextAttack as it comes: one attack object, one sample after the other, seeded by its own function. And how often it called."""
    import torch

    model, calls = model or WordHash(), 0

    class Wrapper(textattack.models.wrappers.ModelWrapper):  # type: ignore[misc]
        def __init__(self) -> None:
            self.model = model

        def __call__(self, texts: list[str]) -> Any:
            nonlocal calls
            calls += 1
            return torch.tensor([model.logits(text) for text in texts])

    with serve_stop_words(ENGLISH):
        attack = build(Wrapper())
    rng, found = SampleRng("test", 0), []
    for sample in samples:
        textattack.shared.utils.set_seed(rng.seed(sample.id) % 2**32)
        result = attack.attack(sample.input, sample.target)
        status = type(result).__name__.removesuffix("AttackResult").lower().replace("successful", "success")
        found.append((result.perturbed_result.attacked_text.text, status, result.num_queries))
    return found, calls
