"""Attention by oneDNN's products: out and log-sum-exp of an exact softmax, whatever the sizes."""

from __future__ import annotations

import pytest
import torch
from windtunnel.harness.models.causal.attention_parts import attend
from windtunnel.harness.models.causal.layer_rule import LayerRule
from windtunnel.harness.models.torch import cpu_attention

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="a torch without oneDNN")

D = 16


def drawn(heads: int, groups: int, queries: int, keys: int, size: float = 1.0) -> tuple[torch.Tensor, ...]:
    """As attention layers hand them over: [1, T, H, D] turned round."""
    torch.manual_seed(0)
    shapes = ((queries, heads), (keys, groups), (keys, groups))
    return tuple((size * torch.randn(1, *shape, D)).transpose(1, 2) for shape in shapes)


@pytest.mark.parametrize("scores", [100, 2**18])
@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (6, 2), (5, 1)])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (7, 300), (130, 17)])
@pytest.mark.parametrize("size", [1.0, 30.0])
def test_it_is_an_exact_softmax(
    heads: int, groups: int, queries: int, keys: int, size: float, scores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of one row, too; and scores in the thousands, whose exponentials no float holds."""
    monkeypatch.setattr(cpu_attention, "_SCORES", scores)
    query, key, value = drawn(heads, groups, queries, keys, size)
    out, lse = cpu_attention.attend(query, key, value, 0.25)
    exact = 0.25 * query.double() @ key.double().repeat_interleave(heads // groups, 1).transpose(2, 3)
    assert torch.allclose(lse.double(), exact.logsumexp(3), rtol=1e-6, atol=1e-5)
    expected = exact.softmax(3) @ value.double().repeat_interleave(heads // groups, 1)
    assert torch.allclose(out.double(), expected, atol=2e-5 * size * size)


def test_it_is_taken_for_large_rectangles_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def attention(*given: object) -> object:
        asked.append(given)
        return original(*given)  # type: ignore[arg-type]

    original = cpu_attention.attend
    monkeypatch.setattr(cpu_attention, "outruns_blas", lambda: True)
    monkeypatch.setattr(cpu_attention, "attend", attention)
    large, few_keys, few_rows = drawn(4, 2, 64, 256), drawn(4, 2, 64, 255), drawn(4, 2, 63, 256)
    found = attend(*large, LayerRule(0.25))
    assert len(asked) == 1
    attend(*few_keys, LayerRule(0.25))
    attend(*few_rows, LayerRule(0.25))
    attend(*(t.double() for t in large), LayerRule(0.25))
    attend(*large, LayerRule(0.25), torch.zeros(1, 1, 1, 256))
    assert len(asked) == 1
    monkeypatch.setattr(cpu_attention, "outruns_blas", lambda: False)
    for a, b in zip(found, attend(*large, LayerRule(0.25)), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert len(asked) == 1


@pytest.mark.parametrize("length", [256, 511, 600])
def test_what_a_token_sees_before_it_is_cut_into_rectangles(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = drawn(4, 2, length, length)
    monkeypatch.setattr(cpu_attention, "outruns_blas", lambda: False)
    plain = attend(query, key, value, LayerRule(0.25), causal=True)
    monkeypatch.setattr(cpu_attention, "outruns_blas", lambda: True)
    monkeypatch.setattr(cpu_attention, "_FEWEST_KEYS", 60)
    for a, b in zip(attend(query, key, value, LayerRule(0.25), causal=True), plain, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
