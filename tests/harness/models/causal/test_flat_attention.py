"""Attention over packs against a plain softmax over each sequence by itself; parts merged against the whole."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from windtunnel.harness.models.causal.attention_parts import attend, attend_by_products, merge
from windtunnel.harness.models.causal.layer_rule import LayerRule
from windtunnel.harness.models.causal.packed_attention import FlatPass, Stored
from windtunnel.harness.models.causal.prefix_trie import Pack, Scored, make_packs
from windtunnel.harness.models.torch.attention_window import UNLIMITED

H, G, D = 4, 2, 8
lines_of_ids = st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=14), min_size=1, max_size=8)


def vectors(prefix: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Query, key and value that belong to a token after what stands before it: the same wherever it is computed."""
    generator = torch.Generator().manual_seed(hash(prefix) % 2**31)
    return (
        torch.randn(H, D, generator=generator), torch.randn(G, D, generator=generator), torch.randn(G, D, generator=generator),
    )  # fmt: skip


SINKS = torch.linspace(-1, 2, H)


def expected(prefix: tuple[int, ...], rule: LayerRule) -> torch.Tensor:
    """[H, D]: a plain softmax of the last token over all of its prefix within the window, and over a sink without a value."""
    query = vectors(prefix)[0].double()
    seen = [vectors(prefix[: n + 1]) for n in range(len(prefix))][-rule.window :]
    key, value = (torch.stack([v[which] for v in seen], 1).repeat_interleave(H // G, 0).double() for which in (1, 2))
    scores = torch.einsum("hd,hkd->hk", query, key) * rule.scale
    if rule.cap is not None:
        scores = torch.tanh(scores / rule.cap) * rule.cap
    if rule.sinks is not None:
        scores = torch.cat([scores, rule.sinks[:, None].double()], 1)
    return torch.einsum("hk,hkd->hd", scores.softmax(1)[:, : len(seen)], value)


def prefixes_of(packs: list[Pack]) -> list[list[tuple[int, ...]]]:
    path: list[tuple[int, ...]] = []
    found = []
    for pack in packs:
        whole = list(path)
        for at, token in enumerate(pack.ids_T.tolist()):
            seen = pack.mask()[at].nonzero()[0].tolist()
            before = max((whole[k] for k in seen[:-1]), key=len, default=())
            whole.append((*before, token))
        found.append(whole[len(path) :])
        path = [whole[k] for k in pack.next_path]
    return found


@pytest.mark.parametrize("way", ["_attend_by_parts", "_attend_at_once"])
@settings(deadline=None, max_examples=40)
@given(
    lines=lines_of_ids, tokens=st.integers(1, 40), windows=st.lists(st.sampled_from([1, 2, 3, 5, 9, UNLIMITED]), min_size=1, max_size=3),
    cap=st.sampled_from([None, 0.5]), has_sinks=st.booleans(),
)  # fmt: skip
def test_a_pack_attends_as_each_sequence_does(
    way: str, lines: list[list[int]], tokens: int, windows: list[int], cap: float | None, has_sinks: bool
) -> None:
    """A layer after the other, each with its own window."""
    packs = list(make_packs([Scored(line, 1) for line in lines], tokens))
    path = Stored()
    for pack, prefixes in zip(packs, prefixes_of(packs), strict=True):
        query, key, value = (torch.stack([vectors(p)[which] for p in prefixes], 1)[None] for which in range(3))
        running = FlatPass(pack, path, torch.device("cpu"))
        if way == "_attend_at_once":
            running._attend_by_parts = running._attend_at_once  # type: ignore[method-assign]
        for window in windows:
            rule = LayerRule(0.3, window, cap, SINKS if has_sinks else None)
            out = running.attend(query, key, value, rule)
            assert torch.allclose(out[0].double(), torch.stack([expected(p, rule) for p in prefixes]), atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_products_are_the_kernel(causal: bool) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, H, 5, D), torch.randn(2, G, 5, D), torch.randn(2, G, 5, D)
    bias = None if causal else torch.zeros(2, 1, 1, 5).masked_fill_(torch.tensor([0, 0, 1, 0, 1]).bool(), float("-inf"))
    kernel = attend(query, key, value, LayerRule(0.5), bias, causal=causal)
    products = attend_by_products(query, key, value, LayerRule(0.5), bias, causal)
    for a, b in zip(kernel, products, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_values_may_be_smaller_than_keys(causal: bool) -> None:
    """As in DeepSeek's latent attention."""
    torch.manual_seed(0)
    query, key, value = torch.randn(2, H, 5, D), torch.randn(2, G, 5, D), torch.randn(2, G, 5, D - 3)
    out, lse = attend(query, key, value, LayerRule(0.5), causal=causal)
    keys, values = key.repeat_interleave(H // G, 1), value.repeat_interleave(H // G, 1)
    wanted = torch.nn.functional.scaled_dot_product_attention(query, keys, values, is_causal=causal, scale=0.5)
    assert torch.allclose(out, wanted, atol=1e-5)
    by_products = attend_by_products(query, key, value, LayerRule(0.5), None, causal)
    assert torch.allclose(by_products[0], wanted, atol=1e-5)
    assert torch.allclose(by_products[1], lse, atol=1e-5)


@pytest.mark.parametrize("size", [1.0, 60.0])
def test_merged_parts_are_the_whole_in_any_order(size: float) -> None:
    """Also where scores are so large that their exponentials are not."""
    torch.manual_seed(1)
    query, key, value = torch.randn(1, H, 7, D) * size, torch.randn(1, G, 30, D), torch.randn(1, G, 30, D)
    whole = attend(query, key, value, LayerRule(1.0))
    for order in itertools.permutations([(0, 4), (4, 23), (23, 30)]):
        parts = [attend(query, key[:, :, a:b], value[:, :, a:b], LayerRule(1.0)) for a, b in order]
        out, lse = (t.clone() for t in parts[0])
        for more in parts[1:]:
            merge((out, lse), more)
        assert torch.allclose(out, whole[0], atol=1e-4)
        assert torch.allclose(lse, whole[1], rtol=1e-5, atol=1e-5)
