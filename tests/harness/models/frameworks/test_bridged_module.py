"""Passes and gradients of a numpy function, as those of the same function in torch; weights that can be read and changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from windtunnel.harness.models.frameworks.bridged_module import Array, BridgedModule, ChannelsLast, Program, Weights
from windtunnel.harness.models.torch.randomised import randomise

KERNEL, BIAS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), np.array([0.5, -1, 2], dtype=np.float32)


class Squares(Program):
    """``(x * x) @ kernel + shift * bias``; shift is an input by name, of whole numbers."""

    def __init__(self) -> None:
        self.seen: list[Weights] = []

    def read_weights(self) -> Weights:
        return {"dense.kernel": KERNEL, "dense.bias": BIAS, "steps": np.array(3)}

    def run(self, weights: Weights, inputs: Mapping[str, Array], /) -> Array:
        self.seen.append(weights)
        values, shift = inputs["0"], inputs["shift"]
        assert shift.dtype == np.int64
        return (values * values) @ weights["dense.kernel"] + shift[:, None] * weights["dense.bias"]

    def pull_back(self, weights: Weights, inputs: Mapping[str, Array], by: str, cotangents: Array, /) -> Array:
        assert by == "0"
        return 2 * inputs["0"] * (cotangents @ weights["dense.kernel"].T)


def in_torch(values: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    return (values * values) @ torch.from_numpy(KERNEL).to(values) + shift[:, None] * torch.from_numpy(BIAS).to(values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_computes_what_torch_does(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values, shift, weights = torch.randn(5, 4, dtype=dtype), torch.arange(5), torch.randn(5, 3, dtype=dtype)
    module = BridgedModule(Squares())
    found = []
    for function in (module, in_torch):
        given = values.clone().requires_grad_()
        scores = function(given, shift=shift)
        (gradient,) = torch.autograd.grad((scores * weights).sum(), given)
        found.append((scores.detach(), gradient))
        assert scores.dtype == gradient.dtype == dtype
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_second_gradient_is_an_error_and_not_zero() -> None:
    given = torch.randn(2, 4, requires_grad=True)
    (first,) = torch.autograd.grad(BridgedModule(Squares())(given, shift=torch.arange(2)).sum(), given, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(first.sum(), given)


def test_weights_are_converted_once_until_they_change() -> None:
    program = Squares()
    module = BridgedModule(program)
    values, shift = torch.randn(2, 4), torch.arange(2)
    before = module(values, shift=shift)
    module(values, shift=shift)
    assert program.seen[0] is program.seen[1]
    with torch.no_grad():
        module.get_parameter("dense.kernel").zero_()
    assert torch.equal(module(values, shift=shift), shift[:, None] * torch.from_numpy(BIAS))
    module.load_state_dict({"dense.kernel": torch.from_numpy(KERNEL), "dense.bias": torch.from_numpy(BIAS), "steps": torch.tensor(3)})
    assert torch.equal(module(values, shift=shift), before)


def test_random_weights_leave_the_model_alone() -> None:
    class Adapter:
        module = BridgedModule(Squares())
        fingerprint = "a"

    values, shift = torch.randn(2, 4), torch.arange(2)
    adapter = Adapter()
    before = adapter.module(values, shift=shift)
    twin: Any = randomise(adapter, 1)
    assert not torch.allclose(twin.module(values, shift=shift), before)
    assert torch.equal(adapter.module(values, shift=shift), before)
    assert torch.equal(copy.deepcopy(adapter.module)(values, shift=shift), before)


def test_channels_go_last_and_back() -> None:
    class Mean(torch.nn.Module):
        def forward(self, pixels_BHWC: torch.Tensor) -> torch.Tensor:
            return pixels_BHWC[:, 0, 1]

    pixels = torch.rand(2, 3, 4, 5, requires_grad=True)
    scores = ChannelsLast(Mean(), scale=255.0)(pixels)
    assert torch.equal(scores, pixels[:, :, 0, 1] * 255)
    (gradient,) = torch.autograd.grad(scores.sum(), pixels)
    assert gradient.sum() == 2 * 3 * 255
    assert gradient[:, :, 0, 1].eq(255).all()


class Named(Squares):
    """Weights under names that a torch module has for itself."""

    def read_weights(self) -> Weights:
        return {"type": KERNEL, "half.train": BIAS, "half.forward.weight": KERNEL, "0": np.array(3), "training": BIAS}


def test_weights_may_have_the_names_of_a_modules_attributes() -> None:
    module = copy.deepcopy(BridgedModule(Named()))
    names = ["type", "half.train", "half.forward.weight", "training"]
    assert [name for name, _ in module.named_parameters()] == ["type", "training", "half.train", "half.forward.weight"]
    assert sorted(module.read_weights()) == sorted([*names, "0"])
    assert module.double().training
    assert module.read_weights()["type"].dtype == np.float64
    module.load_state_dict({name: torch.zeros_like(weight) for name, weight in module.state_dict().items()})
    assert not module.read_weights()["half.train"].any()
