"""Attention over parts of the keys, whose results are merged exactly:

    out = (exp(lse_1) out_1 + exp(lse_2) out_2) / (exp(lse_1) + exp(lse_2))        lse: log of the summed exponentials of the scores

Shape legend: T queries, K keys, H heads, G key heads, D size of queries and keys, E size of values.
"""

from __future__ import annotations

import torch

from ..torch import cpu_attention
from .layer_rule import LayerRule

Part = tuple[torch.Tensor, torch.Tensor]
"""(out [B, H, T, E], lse [B, H, T]) over a subset of the keys. Parts of the same queries can be merged."""


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: LayerRule, bias: torch.Tensor | None = None, *,
    causal: bool = False,
) -> Part:  # fmt: skip
    """Compute attention and its log-sum-exp, without the rule's window and sinks.

    query: [B, H, T, D]. key: [B, G, K, D], H a multiple of G. value: [B, G, K, E]. bias: added to the capped scores.
    causal: needs T = K.
    """
    if value.shape[3] < query.shape[3] and rule.cap is None:
        # The kernels need values of the keys' size, which those of multi-head latent attention do not have.
        filled = torch.nn.functional.pad(value, (0, query.shape[3] - value.shape[3]))
        out, lse = attend(query, key, filled, rule, bias, causal=causal)
        return out[..., : value.shape[3]], lse
    if rule.cap is not None:
        return attend_by_products(query, key, value, rule, bias, causal)
    if bias is None and cpu_attention.is_faster(query, key):
        return _attend_by_halves(query, key, value, rule) if causal else cpu_attention.attend(query, key, value, rule.scale)
    if query.device.type == "cpu":
        # The public function does not return the log-sum-exp.
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        result = kernel(query, key, value, 0.0, causal, attn_mask=bias, scale=rule.scale)
        return result[0], result[1]
    return attend_by_products(query, key, value, rule, bias, causal)


def _attend_by_halves(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: LayerRule) -> Part:
    """Split causal attention into two smaller triangles, and the full rectangle of the later half to the earlier half."""
    half = query.shape[2] // 2
    (q0, q1), (k0, k1), (v0, v1) = (t.tensor_split([half], 2) for t in (query, key, value))
    earlier, later = attend(q0, k0, v0, rule, causal=True), attend(q1, k1, v1, rule, causal=True)
    merge(later, attend(q1, k0, v0, rule))
    return torch.cat([earlier[0], later[0]], 2), torch.cat([earlier[1], later[1]], 2)


def attend_by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: LayerRule, bias: torch.Tensor | None, causal: bool = False
) -> Part:
    """Compute the same as `attend` with plain products, of which all scores are in memory at once."""
    batch, heads, length, size = query.shape
    query = query.reshape(batch, key.shape[1], -1, size)
    scores = rule.cap_scores((query @ key.transpose(2, 3)).reshape(batch, heads, length, -1).float() * rule.scale)
    if causal:
        scores = scores.masked_fill(~torch.ones(length, length, dtype=torch.bool, device=scores.device).tril(), float("-inf"))
    scores = scores if bias is None else scores + bias
    lse = scores.logsumexp(3)
    weights = (scores - lse[..., None]).exp().to(value.dtype).reshape(batch, key.shape[1], -1, key.shape[2])
    return (weights @ value).reshape(batch, heads, length, -1), lse


def merge(part: Part, more: Part) -> None:
    """Merge ``more`` into ``part``, in place."""
    (out, lse), (more_out, more_lse) = part, more
    # sigmoid(a - b) = exp(a) / (exp(a) + exp(b)), without overflow.
    out.lerp_(more_out, torch.sigmoid(more_lse - lse)[..., None].to(out.dtype))
    lse.copy_(torch.logaddexp(lse, more_lse))


def make_bias(seen: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return 0 where a key is seen, minus infinity elsewhere, with the dtype and device of ``like``."""
    return torch.zeros(seen.shape, dtype=like.dtype, device=like.device).masked_fill_(~seen, float("-inf"))
