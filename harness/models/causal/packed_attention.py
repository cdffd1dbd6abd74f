"""Run one row of tokens with restricted visibility through an unmodified transformers model.

The model runs on ids [1, T] with explicit positions. Its attention layers call `FlatPass.attend`, which computes the
attention of an `Attend` list: each token to its neighbours, then to further keys (the path before the pack).

Shape legend: T tokens, P path, H heads, G key heads, D head size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from transformers import AttentionInterface

from ..torch.attention_window import UNLIMITED
from ..torch.devices import to_device
from .attention_parts import attend, attend_by_products, make_bias, merge
from .layer_rule import LayerRule
from .prefix_trie import Attend, Pack
from .windowed_pack import mask_window, plan_window

NAME = "windtunnel_flat"

_Masked = list[tuple[Attend, torch.Tensor | None]]
"""What attends to what, with the bias of masked blocks."""

_Parts = tuple[_Masked, _Masked]
"""The attention of tokens to their neighbours, and to further keys."""


@dataclass(slots=True)
class Stored:
    """Keys and values [1, G, n, D] of some tokens, by layer."""

    keys: list[torch.Tensor] = field(default_factory=list)
    values: list[torch.Tensor] = field(default_factory=list)

    def put(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        if layer == len(self.keys):
            self.keys.append(key)
            self.values.append(value)
        else:
            self.keys[layer], self.values[layer] = key, value


class Attention(Protocol):
    """Computes attention for a model's layers, in order: query [1, H, T, D], key and value [1, G, T, D] to [1, T, H, D].

    windows: receives the window of each layer.
    """

    windows: list[int]

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: LayerRule) -> torch.Tensor: ...


class FlatPass:
    """The pass of one pack.

    path: keys and values of the path; replaced, layer by layer, by the path of the next pack.
    kept: receives the keys and values of the pack.
    """

    def __init__(self, pack: Pack, path: Stored, device: torch.device, kept: Stored | None = None) -> None:
        self._pack, self._path, self._kept = pack, path, kept
        self._next = to_device(torch.from_numpy(pack.next_path), device)
        self.windows: list[int] = []
        self._parts: dict[int, _Parts] = {}
        self._biases: dict[int, torch.Tensor] = {}

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: LayerRule) -> torch.Tensor:
        pack, path, layer = self._pack, self._path, len(self.windows)
        self.windows.append(rule.window)
        if self._kept is not None:
            self._kept.put(layer, key, value)
        if pack.path_length:
            key, value = torch.cat([path.keys[layer], key], 2), torch.cat([path.values[layer], value], 2)
        path.put(layer, key.index_select(2, self._next), value.index_select(2, self._next))
        return (
            self._attend_by_parts(query, key, value, rule) if query.device.type == "cpu" else self._attend_at_once(query, key, value, rule)
        )

    def _attend_by_parts(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: LayerRule) -> torch.Tensor:
        """Compute only visible pairs, except for small masked blocks."""
        own, others = self._plan_parts(rule.window, query)
        found = [
            attend(query[:, :, a.q0 : a.q1], key[:, :, a.k0 : a.k1], value[:, :, a.k0 : a.k1], rule, bias, causal=a.causal)
            for a, bias in own
        ]
        out, lse = found[0] if len(found) == 1 else (torch.cat([o for o, _ in found], 2), torch.cat([s for _, s in found], 2))
        for a, bias in others:
            more = attend(query[:, :, a.q0 : a.q1], key[:, :, a.k0 : a.k1], value[:, :, a.k0 : a.k1], rule, bias)
            merge((out[:, :, a.q0 : a.q1], lse[:, :, a.q0 : a.q1]), more)
        return rule.add_sinks(out, lse).transpose(1, 2)

    def _plan_parts(self, window: int, like: torch.Tensor) -> _Parts:
        if window not in self._parts:
            own, others = (
                [(a, None if a.mask_QK is None else make_bias(torch.from_numpy(a.mask_QK)[None, None], like)) for a in attends]
                for attends in plan_window(self._pack, window)
            )
            self._parts[window] = own, others
        return self._parts[window]

    def _attend_at_once(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: LayerRule) -> torch.Tensor:
        """Compute all pairs in one masked call, because calls cost more than pairs on a GPU."""
        if rule.window not in self._biases:
            self._biases[rule.window] = to_device(torch.from_numpy(mask_window(self._pack, rule.window)), query.device)
        seen = self._biases[rule.window]
        if rule.cap is not None or rule.sinks is not None:
            return rule.add_sinks(*attend_by_products(query, key, value, rule, make_bias(seen, query))).transpose(1, 2)
        # Kernels with a mask need as many key heads as query heads.
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        out = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=rule.scale)
        return out.transpose(1, 2)


_current: ContextVar[Attention | None] = ContextVar("flat_attention", default=None)


@contextmanager
def run_flat(module: Any, attention: Attention) -> Iterator[None]:
    """Make the module's attention layers call ``attention`` in the body, in this thread and context only."""
    before = module.config._attn_implementation
    token = _current.set(attention)
    module.config._attn_implementation = NAME
    try:
        yield
    finally:
        module.config._attn_implementation = before
        _current.reset(token)


def _attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, scaling: float | None = None,
    dropout: float = 0.0, sliding_window: int | None = None, softcap: float | None = None, s_aux: torch.Tensor | None = None,
    position_bias: Any = None, **options: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """The attention function for transformers."""
    attention = _current.get()
    if attention is None or attention_mask is not None or position_bias is not None:
        # Raised when the model is measured at load; it then runs in batches.
        raise ValueError(f"packs do not support {'an attention mask of the model' if position_bias is None else 'position_bias'}")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return attention.attend(query, key, value, LayerRule(scale, sliding_window or UNLIMITED, softcap, s_aux)), None


def register() -> None:
    """Register the attention function with transformers. Called when a model is loaded, as imports have no side effects."""
    AttentionInterface.register(NAME, _attend)
