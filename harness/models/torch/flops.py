"""Count the floating-point operations of a model's linear layers, and measure the matrix-product speed of a device."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import torch

from .packed_linear import pack_linears

_SIZE = 1024
_TRIES = 6


def count_flops_per_token(module: Any) -> int:
    """Return the operations per token: two per weight of each linear layer (including transformers' Conv1D)."""
    layers = [] if module is None else [m for m in module.modules() if isinstance(m, torch.nn.Linear) or type(m).__name__ == "Conv1D"]
    return sum(2 * int(layer.weight.numel()) for layer in layers)


@cache
def measure_flops_per_s(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the FLOP/s of square matrix products, the best of several, with the weight layouts that models use."""
    layer = torch.nn.Linear(_SIZE, _SIZE, bias=False, device=device, dtype=dtype)
    rows = torch.ones(_SIZE, _SIZE, device=device, dtype=dtype)
    plain = _time_best(layer, rows)
    pack_linears(layer)
    return 2 * _SIZE**3 / min(plain, _time_best(layer, rows))


def _time_best(layer: Any, rows: torch.Tensor) -> float:
    best = float("inf")
    with torch.inference_mode():
        for _ in range(_TRIES):
            started = time.perf_counter()
            layer(rows)
            if rows.device.type == "cuda":
                torch.cuda.synchronize(rows.device)
            best = min(best, time.perf_counter() - started)
    return best
