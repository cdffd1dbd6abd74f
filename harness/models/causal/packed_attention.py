"""Run one row of tokens with restricted visibility through an unmodified transformers model.

The model runs on ids [1, T] with explicit positions. Its attention layers call `FlatPass.attend`, which computes the
attention of an `Attend` list: each token to its neighbours, then to further keys (the path before the pack), merged
exactly:

    out = (exp(lse_1) out_1 + exp(lse_2) out_2) / (exp(lse_1) + exp(lse_2))        lse: log of the summed exponentials of the scores

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

from ..torch import cpu_attention
from ..torch.devices import to_device
from .prefix_trie import Pack

NAME = "windtunnel_flat"


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
    """Computes attention for a model's layers, in order: query [1, H, T, D], key and value [1, G, T, D] to [1, T, H, D]."""

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor: ...


class FlatPass:
    """The pass of one pack.

    path: keys and values of the path; replaced, layer by layer, by the path of the next pack.
    kept: receives the keys and values of the pack.
    """

    def __init__(self, pack: Pack, path: Stored, device: torch.device, kept: Stored | None = None) -> None:
        self._pack, self._path, self._kept = pack, path, kept
        self._next = to_device(torch.from_numpy(pack.next_path), device)
        self._layer = 0
        self._biases: list[torch.Tensor | None] | None = None

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        pack, path, layer = self._pack, self._path, self._layer
        self._layer += 1
        if self._kept is not None:
            self._kept.put(layer, key, value)
        if pack.path_length:
            key, value = torch.cat([path.keys[layer], key], 2), torch.cat([path.values[layer], value], 2)
        path.put(layer, key.index_select(2, self._next), value.index_select(2, self._next))
        return (
            self._attend_by_parts(query, key, value, scale)
            if query.device.type == "cpu"
            else self._attend_at_once(query, key, value, scale)
        )

    def _attend_by_parts(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        """Compute only visible pairs, except for small masked blocks."""
        if self._biases is None:
            self._biases = [
                None if a.mask_QK is None else make_bias(torch.from_numpy(a.mask_QK)[None, None], query) for a in self._pack.own
            ]
        found = [
            attend(query[:, :, a.q0 : a.q1], key[:, :, a.k0 : a.k1], value[:, :, a.k0 : a.k1], scale, given, causal=a.causal)
            for a, given in zip(self._pack.own, self._biases, strict=True)
        ]
        out, lse = found[0] if len(found) == 1 else (torch.cat([o for o, _ in found], 2), torch.cat([s for _, s in found], 2))
        for a in self._pack.others:
            more = attend(query[:, :, a.q0 : a.q1], key[:, :, a.k0 : a.k1], value[:, :, a.k0 : a.k1], scale)
            merge((out[:, :, a.q0 : a.q1], lse[:, :, a.q0 : a.q1]), more)
        return out.transpose(1, 2)

    def _attend_at_once(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        """Compute all pairs in one masked call, because calls cost more than pairs on a GPU."""
        if self._biases is None:
            self._biases = [to_device(torch.from_numpy(self._pack.mask()), query.device)]
        # Kernels with a mask need as many key heads as query heads.
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        out = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=self._biases[0], scale=scale)
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
    dropout: float = 0.0, **options: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """The attention function for transformers. The builder of the packs respects sliding windows."""
    attention = _current.get()
    unknown = sorted(name for name in ("softcap", "s_aux", "position_bias") if options.get(name) is not None)
    if attention is None or attention_mask is not None or unknown:
        # Raised when the model is measured at load; it then runs in batches.
        raise ValueError(f"packs do not support {', '.join(unknown) or 'an attention mask of the model'}")
    return attention.attend(query, key, value, query.shape[-1] ** -0.5 if scaling is None else scaling), None


def register() -> None:
    """Register the attention function with transformers. Called when a model is loaded, as imports have no side effects."""
    AttentionInterface.register(NAME, _attend)


Part = tuple[torch.Tensor, torch.Tensor]
"""(out [B, H, T, D], lse [B, H, T]) over a subset of the keys. Parts of the same queries can be merged."""


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, bias: torch.Tensor | None = None, *, causal: bool = False
) -> Part:
    """Compute attention and its log-sum-exp.

    query: [B, H, T, D]. key, value: [B, G, K, D], H a multiple of G. bias: added to the scores. causal: needs T = K.
    """
    if bias is None and cpu_attention.is_faster(query, key):
        return _attend_by_halves(query, key, value, scale) if causal else cpu_attention.attend(query, key, value, scale)
    if query.device.type == "cpu":
        # The public function does not return the log-sum-exp.
        result = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value, 0.0, causal, attn_mask=bias, scale=scale)
        return result[0], result[1]
    return _attend_by_products(query, key, value, scale, bias, causal)


def _attend_by_halves(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> Part:
    """Split causal attention into two smaller triangles, and the full rectangle of the later half to the earlier half."""
    half = query.shape[2] // 2
    (q0, q1), (k0, k1), (v0, v1) = (t.tensor_split([half], 2) for t in (query, key, value))
    earlier, later = attend(q0, k0, v0, scale, causal=True), attend(q1, k1, v1, scale, causal=True)
    merge(later, attend(q1, k0, v0, scale))
    return torch.cat([earlier[0], later[0]], 2), torch.cat([earlier[1], later[1]], 2)


def _attend_by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, bias: torch.Tensor | None, causal: bool
) -> Part:
    batch, heads, length, size = query.shape
    query = query.reshape(batch, key.shape[1], -1, size)
    scores = (query @ key.transpose(2, 3)).reshape(batch, heads, length, -1).float() * scale
    if causal:
        scores = scores.masked_fill(~torch.ones(length, length, dtype=torch.bool, device=scores.device).tril(), float("-inf"))
    scores = scores if bias is None else scores + bias
    lse = scores.logsumexp(3)
    weights = (scores - lse[..., None]).exp().to(value.dtype).reshape(batch, key.shape[1], -1, key.shape[2])
    return (weights @ value).reshape(batch, heads, length, size), lse


def merge(part: Part, more: Part) -> None:
    """Merge ``more`` into ``part``, in place."""
    (out, lse), (more_out, more_lse) = part, more
    # sigmoid(a - b) = exp(a) / (exp(a) + exp(b)), without overflow.
    out.lerp_(more_out, torch.sigmoid(more_lse - lse)[..., None].to(out.dtype))
    lse.copy_(torch.logaddexp(lse, more_lse))


def make_bias(seen: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return 0 where a key is seen, minus infinity elsewhere, with the dtype and device of ``like``."""
    return torch.zeros(seen.shape, dtype=like.dtype, device=like.device).masked_fill_(~seen, float("-inf"))
