"""Linear layers with weights packed for the CPU: the same products, and never those of weights that are no more."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from windtunnel.harness.models.torch import packed_linear
from windtunnel.harness.models.torch.packed_linear import PackedLinear, pack_linears, repack
from windtunnel.tests import tiny

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="a torch without oneDNN")


@pytest.fixture
def layers() -> nn.Sequential:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(40, 70), nn.ReLU(), nn.Linear(70, 9, bias=False))
    pack_linears(made)
    return made


def plain(module: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    first, _, last = module
    return torch.relu(x @ first.weight.T + first.bias) @ last.weight.T  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("shape", [(1, 40), (300, 40), (2, 17, 40), (0, 40), (2, 0, 40)])
def test_products_are_the_same(layers: nn.Sequential, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    with torch.inference_mode():
        assert torch.allclose(layers(x), plain(layers, x), atol=1e-5)
        strided = torch.randn(*shape[:-1], 80)[..., ::2]
        assert torch.allclose(layers(strided), plain(layers, strided), atol=1e-5)


@pytest.mark.parametrize("outruns", [True, False])
def test_packed_weights_are_used_unless_weights_are_trained(outruns: bool, layers: nn.Sequential, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients with respect to the input use them on processors that multiply faster so."""
    x = torch.randn(5, 40, requires_grad=True)
    monkeypatch.setattr(packed_linear, "outruns_blas", lambda: outruns)

    def no_plain(*args: object) -> torch.Tensor:
        raise AssertionError("the plain product was taken")

    with monkeypatch.context() as patched:
        patched.setattr(nn.Linear, "forward", no_plain)
        for without_gradients in (torch.inference_mode, torch.no_grad):
            with without_gradients():
                layers(x)
        with pytest.raises(AssertionError, match="plain product"):
            layers(x)
        layers.requires_grad_(False)
        assert not layers(x.detach()).requires_grad
        if outruns:
            assert layers(x).requires_grad
        else:
            with pytest.raises(AssertionError, match="plain product"):
                layers(x)


@pytest.mark.parametrize(
    ("isa", "processor", "expected"),
    [
        ("AVX512", "vendor_id\t: AuthenticAMD", True),
        ("AVX512", "vendor_id\t: GenuineIntel", False),
        ("AVX2", "vendor_id\t: AuthenticAMD", False),
    ],
)
def test_whether_onednn_is_faster_is_told_by_the_processor(
    isa: str, processor: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: isa)
    monkeypatch.setattr(packed_linear, "_name_processor", lambda: processor)
    assert packed_linear.outruns_blas.__wrapped__() is expected


@pytest.fixture(params=[True, False])
def either_product(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of packed weights, and of plain ones."""
    monkeypatch.setattr(packed_linear, "outruns_blas", lambda: request.param)


@pytest.mark.usefixtures("either_product")
@pytest.mark.parametrize("shape", [(40,), (5, 40), (2, 3, 40)])
def test_what_it_gives_may_be_written_to(layers: nn.Sequential, shape: tuple[int, ...]) -> None:
    layers.requires_grad_(False)
    x = torch.randn(shape, requires_grad=True)
    found = layers[0](x)
    found /= 4
    (gradient,) = torch.autograd.grad(found.sum(), x)
    expected = layers[0].weight.sum(0) / 4  # type: ignore[operator, union-attr]
    assert torch.allclose(gradient, expected.expand(shape), atol=1e-5)


@pytest.mark.usefixtures("either_product")
@pytest.mark.parametrize("shape", [(7, 40), (2, 17, 40)])
def test_gradients_of_any_order_are_those_of_plain_products(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    packed = nn.Sequential(nn.Linear(40, 70), nn.GELU(), nn.Linear(70, 9, bias=False)).requires_grad_(False)
    exact = copy.deepcopy(packed).double()
    pack_linears(packed)
    x = torch.randn(shape, requires_grad=True)

    def orders(module: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
        # The sum's gradient is one number seen from everywhere (stride 0).
        (first,) = torch.autograd.grad(module(x)[..., 0].sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), x)
        return [first, second]

    for found, expected in zip(orders(packed, x), orders(exact, x.detach().double().requires_grad_()), strict=True):
        assert expected.abs().max() > 1e-3
        assert torch.allclose(found.double(), expected, atol=1e-5)


def test_weights_that_are_trained_have_gradients(layers: nn.Sequential) -> None:
    layers(torch.randn(5, 40)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in layers.parameters())


def test_weights_that_were_written_to_or_replaced_count(layers: nn.Sequential) -> None:
    x = torch.randn(5, 40)
    with torch.no_grad():
        layers[0].weight.mul_(3)  # type: ignore[operator, union-attr]
    with torch.inference_mode():
        assert torch.allclose(layers(x), plain(layers, x), atol=1e-5)
    layers[2].weight = nn.Parameter(torch.randn(9, 70))
    with torch.inference_mode():
        assert torch.allclose(layers(x), plain(layers, x), atol=1e-5)


def test_a_copy_has_its_own_weights(layers: nn.Sequential) -> None:
    x = torch.randn(5, 40)
    other = copy.deepcopy(layers)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.copy_(torch.randn_like(parameter))
    with torch.inference_mode():
        assert torch.allclose(other(x), plain(other, x), atol=1e-4)
        assert not torch.allclose(other(x), layers(x), atol=1e-1)
        repack(other)
        assert other[0]._packed is not None  # type: ignore[union-attr]
        assert torch.allclose(other(x), plain(other, x), atol=1e-4)
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "2.weight"]


def test_large_and_half_precision_models_keep_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    half = nn.Sequential(nn.Linear(4, 4).to(torch.bfloat16))
    pack_linears(half)
    monkeypatch.setattr(packed_linear, "MOST_BYTES", 100)
    large = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    pack_linears(large)
    assert [type(m) for m in (*half, *large)] == [nn.Linear] * 3


def test_a_loaded_model_is_packed() -> None:
    assert any(isinstance(m, PackedLinear) for m in tiny.load("llama").module.modules())
