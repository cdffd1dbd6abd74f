"""Floating-point operations of a model's products with its weights, and how many a second the device gives a plain product."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import torch

from .packed_linear import pack_linears

_SIZE = 1024
_TRIES = 6


def per_token(module: Any) -> int:
    """Two operations a weight of each linear layer (transformers' Conv1D is one): about what a token costs in them."""
    layers = [] if module is None else [m for m in module.modules() if isinstance(m, torch.nn.Linear) or type(m).__name__ == "Conv1D"]
    return sum(2 * int(layer.weight.numel()) for layer in layers)


@cache
def matmul_flops_per_s(device: torch.device, dtype: torch.dtype) -> float:
    """The best of some square products, with the layouts that models here get."""
    layer = torch.nn.Linear(_SIZE, _SIZE, bias=False, device=device, dtype=dtype)
    rows = torch.ones(_SIZE, _SIZE, device=device, dtype=dtype)
    plain = _best_s(layer, rows)
    pack_linears(layer)
    return 2 * _SIZE**3 / min(plain, _best_s(layer, rows))


def _best_s(layer: Any, rows: torch.Tensor) -> float:
    best = float("inf")
    with torch.inference_mode():
        for _ in range(_TRIES):
            started = time.perf_counter()
            layer(rows)
            if rows.device.type == "cuda":
                torch.cuda.synchronize(rows.device)
            best = min(best, time.perf_counter() - started)
    return best
