"""A model whose class derives from nothing: what it does not have is as `Model` and `Differentiable` have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from windtunnel.harness.api.errors import CapabilityError
from windtunnel.harness.api.model import Differentiable, Encoded, Model, ModelInfo
from windtunnel.harness.api.requests import Classify, Generate, Request
from windtunnel.harness.api.responses import Completion, Failure, Logits
from windtunnel.harness.engine import Engine

WRITES = ModelInfo({"generate": {"text"}})


class Endpoint:
    """Counts what it is asked. Refuses what holds BAD alone, or ``raises`` for all of the batch."""

    name = fingerprint = "endpoint"

    def __init__(self, *, raises: bool) -> None:
        self.raises, self.num_asked = raises, 0

    def generate(self, batch: Sequence[Generate]) -> list[Completion | Failure]:
        self.num_asked += len(batch)
        refused = ["BAD" in str(request.prompt) for request in batch]
        if self.raises and any(refused):
            raise RuntimeError("400 content filter")
        return [Failure("400 content filter") if bad else Completion("ok", 1, "stop") for bad in refused]


def test_what_it_lacks_is_the_default() -> None:
    own = Endpoint(raises=False)
    model = Engine(own, WRITES).model  # type: ignore[arg-type]
    assert isinstance(model, Model)
    assert isinstance(model, Endpoint)
    assert (model.notes, model.device, model.dtype, model.mask_token, model.flops_per_token) == ((), None, None, None, 0)
    assert model.split(Generate("a", 1)) == (Generate("a", 1),)
    assert model.canonical("a text") == "a text"
    assert model.randomised(0) is None
    assert type(own) is Endpoint, "the object itself stays as it is"
    assert Engine(model, WRITES).model is model


@pytest.mark.parametrize(("raises", "num_asked"), [(False, 64), (True, 190)])
def test_one_bad_prompt_of_a_batch_fails_alone(raises: bool, num_asked: int) -> None:
    """Where the failure stands in its answer's place, nothing is asked again. What the model counts, its owner sees."""
    own = Endpoint(raises=raises)
    answers = Engine(own, WRITES).try_run([Generate(f"{'BAD' if i == 37 else ''} {i}", 8) for i in range(64)])  # type: ignore[arg-type]
    assert [i for i, answer in enumerate(answers) if isinstance(answer, Failure)] == [37]
    assert own.num_asked == num_asked


class Slotted:
    __slots__ = ("fingerprint", "name")

    def __init__(self) -> None:
        self.name = self.fingerprint = "slotted"

    def classify(self, batch: Sequence[Classify]) -> list[Logits]:
        return [Logits((0.0, 1.0)) for _ in batch]


def test_a_class_with_slots_will_do() -> None:
    (answer,) = Engine(Slotted(), ModelInfo({"classify": {"text"}})).run([Classify("a")])  # type: ignore[arg-type]
    assert answer.values == (0.0, 1.0)


@dataclass(frozen=True)
class Shut(Request[Logits]):
    kind: ClassVar[str] = "close"


def test_a_kind_that_is_named_like_a_method_of_every_model_is_no_capability() -> None:
    with pytest.raises(CapabilityError, match="cannot answer 'close'; it answers generate for text"):
        Engine(Endpoint(raises=False), WRITES).try_run([Shut()])  # type: ignore[arg-type]


class Slope:
    """Logits are a product of pixels; all that a `Differentiable` has to have."""

    def __init__(self) -> None:
        self.module = torch.nn.Linear(3, 2)

    def encode(self, requests: Sequence[Classify], /) -> Encoded:
        features = torch.ones(len(requests), 4, 3)
        return Encoded(features, torch.zeros_like(features), torch.ones(len(requests), 4))

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        logits: torch.Tensor = self.module(features.sum(1))
        return logits


class Sloped(Slotted):
    def differentiable(self) -> Any:
        return Slope()


def test_gradients_have_their_defaults_too() -> None:
    engine = Engine(Sloped(), ModelInfo({"classify": {"text"}}, {"gradients"}))  # type: ignore[arg-type]
    with engine.differentiable() as net:
        encoded = net.encode([Classify("a")])
        assert isinstance(net, Differentiable)
        assert (net.tokenizer, net.resumes, net.readers(encoded), net.take_beginnings()) == (None, False, None, (0, 0))
        assert net.logits(encoded.features.requires_grad_(), encoded).requires_grad
        with pytest.raises(CapabilityError, match="no attention weights"):
            net.attentions(encoded.features, encoded)
    assert engine.counters.gradient_passes == 1


def test_a_model_without_gradients_says_so() -> None:
    engine = Engine(Endpoint(raises=False), WRITES)  # type: ignore[arg-type]
    with pytest.raises(CapabilityError, match="model 'endpoint' gives no gradients"), engine.differentiable():
        pass
