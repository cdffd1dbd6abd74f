"""JAX functions and flax modules against the same network in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from windtunnel.harness.api.errors import ModelError
from windtunnel.harness.models.frameworks.bridged_module import BridgedModule
from windtunnel.harness.models.frameworks.jax_program import make_jax_program, read_parameters

pytest.importorskip("jax")

_draws = np.random.default_rng(0)
FIRST, SECOND = _draws.normal(size=(6, 5)).astype(np.float32), _draws.normal(size=(5, 3)).astype(np.float32)
PARAMETERS = {"first": {"kernel": FIRST}, "others": [SECOND]}


def apply(parameters: Any, values: Any) -> Any:
    import jax.numpy as jnp

    return jnp.tanh(values @ parameters["first"]["kernel"]) @ parameters["others"][0]


def in_torch(values: torch.Tensor) -> torch.Tensor:
    return torch.tanh(values @ torch.from_numpy(FIRST)) @ torch.from_numpy(SECOND)


def assert_equal_to_torch(made: Any, given: Any = None) -> None:
    """Scores and gradients of batches of several sizes, among them those of several passes."""
    torch.manual_seed(0)
    module = BridgedModule(make_jax_program(made, given, "net"))
    for size in (1, 3, 8, 75):
        values, weights = torch.randn(size, 6, requires_grad=True), torch.randn(size, 3)
        ours, theirs = module(values), in_torch(values)
        assert torch.allclose(ours, theirs, atol=1e-5)
        for first, second in zip(*(torch.autograd.grad((s * weights).sum(), values) for s in (ours, theirs)), strict=True):
            assert torch.allclose(first, second, atol=1e-5)


def test_a_function_with_parameters() -> None:
    assert_equal_to_torch((apply, PARAMETERS))
    module = BridgedModule(make_jax_program((apply, PARAMETERS), None, "net"))
    assert sorted(name for name, _ in module.named_parameters()) == ["first.kernel", "others.0"]


def test_a_function_alone() -> None:
    assert_equal_to_torch(lambda values: apply(PARAMETERS, values))


def test_parameters_from_a_file(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"first.kernel": FIRST, "others.0": SECOND}, tmp_path / "weights.safetensors")
    given = read_parameters(tmp_path / "weights.safetensors")
    zeros = {"first": {"kernel": np.zeros_like(FIRST)}, "others": [np.zeros_like(SECOND)]}
    assert_equal_to_torch((apply, zeros), given)

    def by_name(parameters: Any, values: Any) -> Any:
        return apply({"first": parameters["first"], "others": [parameters["others"]["0"]]}, values)

    assert_equal_to_torch(by_name, given)
    with pytest.raises(ModelError, match=r"the parameters given for 'net' differ from its own in first\.kernel"):
        make_jax_program((apply, PARAMETERS), {"first.kernel": FIRST[:1], "others.0": SECOND}, "net")
    with pytest.raises(ModelError, match=r"differ from its own in others\.0, others\.1"):
        make_jax_program((apply, PARAMETERS), {"first.kernel": FIRST, "others.1": SECOND}, "net")
    with pytest.raises(ModelError, match="cannot be read"):
        read_parameters(tmp_path / "none.safetensors")


def test_what_is_no_function() -> None:
    with pytest.raises(ModelError, match="'net' returned a int; return a function of the inputs"):
        make_jax_program(3, None, "net")


def test_flax_modules() -> None:
    linen: Any = pytest.importorskip("flax.linen")
    from flax import nnx

    class Linen(linen.Module):
        @linen.compact
        def __call__(self, values: Any) -> Any:
            return linen.Dense(3, use_bias=False)(linen.tanh(linen.Dense(5, use_bias=False)(values)))

    # Numbered in the order in which they are built: the outer one first.
    nested = {"Dense_1": {"kernel": FIRST}, "Dense_0": {"kernel": SECOND}}
    assert_equal_to_torch((Linen(), {"params": nested}))
    assert_equal_to_torch(Linen(), {"Dense_1.kernel": FIRST, "Dense_0.kernel": SECOND})

    class Nnx(nnx.Module):
        def __init__(self) -> None:
            self.first, self.second = (nnx.Linear(a, b, use_bias=False, rngs=nnx.Rngs(0)) for a, b in ((6, 5), (5, 3)))

        def __call__(self, values: Any) -> Any:
            return self.second(nnx.tanh(self.first(values)))

    assert_equal_to_torch(Nnx(), {"first.kernel": FIRST, "second.kernel": SECOND})


def test_parameters_by_names_that_have_dots_or_are_those_of_a_module() -> None:
    flat = {"first.kernel": FIRST, "type": SECOND}

    def by_name(parameters: Any, values: Any) -> Any:
        return apply({"first": {"kernel": parameters["first.kernel"]}, "others": [parameters["type"]]}, values)

    assert_equal_to_torch((by_name, flat))
    with pytest.raises(ModelError, match=r"two parameters have the path 'first\.kernel'"):
        make_jax_program((apply, {"first.kernel": FIRST, "first": {"kernel": FIRST}}), None, "net")


def test_inputs_have_names_or_places() -> None:
    def scaled(parameters: Any, values: Any, *, scale: Any) -> Any:
        return apply(parameters, values) * scale[:, None]

    module = BridgedModule(make_jax_program((scaled, PARAMETERS), None, "net"))
    values, scale = torch.randn(3, 6), torch.rand(3, requires_grad=True)
    scores = module(values, scale=scale)
    assert torch.allclose(scores, in_torch(values) * scale[:, None], atol=1e-5)
    (slope,) = torch.autograd.grad(scores.sum(), scale)
    assert torch.allclose(slope, in_torch(values).sum(1), atol=1e-5)


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (lambda values: {"logits": values}, "a dict"),
        (lambda values: values.sum(), "a number"),
        (lambda values: (values, values), "a tuple"),
    ],
)
def test_what_is_no_array_of_scores(made: Any, what: str) -> None:
    with pytest.raises(ModelError, match=f"returned {what}; return one array of class scores"):
        BridgedModule(make_jax_program(made, None, "net"))(torch.zeros(2, 3))
