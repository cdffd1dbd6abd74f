"""CPU attention by oneDNN matrix products, for queries that see all keys.

torch's flash attention uses the BLAS of the torch build. If that does not use all features of the CPU (see
`packed_linear.py`), two products of oneDNN with a softmax in between take two thirds of the time.
Shape legend: T queries, K keys, H heads, G key heads, D head size.
"""

from __future__ import annotations

import torch

from .packed_linear import multiply, outruns_blas

_FEWEST_KEYS, _FEWEST_ROWS = 256, 128
"""Below these sizes, the calls cost more than the products save."""

_SCORES = 2**18
"""Number of scores per thread and block: 1 MiB, which fits into the cache of a core."""


def is_faster(query: torch.Tensor, key: torch.Tensor, /) -> bool:
    """Whether `attend` is faster for [1, H, T, D] queries and [1, G, K, D] keys on this CPU."""
    rows = query.shape[1] // key.shape[1] * query.shape[2]
    large = query.shape[0] == 1 and key.shape[2] >= _FEWEST_KEYS and rows >= _FEWEST_ROWS
    return large and query.device.type == "cpu" and query.dtype == torch.float32 and outruns_blas()


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, /) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the attention output [1, H, T, D] and the log-sum-exp of the scores [1, H, T]."""
    (_, heads, length, size), (groups, num_keys) = query.shape, key.shape[1:3]
    # Query heads that share keys are rows of one product.
    rows = (query * scale).reshape(groups, -1, size)
    out, lse = torch.empty_like(rows), rows.new_empty(rows.shape[:2])
    most = max(1, _SCORES * torch.get_num_threads() // num_keys)
    for group in range(groups):
        keys, values = key[0, group].contiguous(), value[0, group].t().contiguous()
        for start in range(0, rows.shape[1], most):
            block = group, slice(start, start + most)
            scores = multiply(rows[block], keys)
            weights = scores.softmax(1)
            # Softmax does not return its sum. The largest weight is at least 1 / K, so its logarithm is precise enough.
            lse[block] = scores.amax(1) - weights.amax(1).log_()
            out[block] = multiply(weights, values)
    return out.view(1, heads, length, size), lse.view(1, heads, length)
