"""Linear layers whose weights are packed for the CPU once, at load, instead of at every product.

A plain float32 product reorders its weights in each call. With weights that oneDNN has packed before, 16 rows through a
vocabulary of 49,152 take half of the time, and 1,024 rows through a layer of 576 x 1,536 take 0.85 of it. The price is a
second copy of the weights. If torch's BLAS does not use all features of a CPU (MKL uses AVX2 on AMD CPUs with AVX-512),
any product of oneDNN takes less than half of its time. On other CPUs, gradients use torch's own product, because the
backward pass reads transposed weights that are not packed, which takes 1.2 times as long with oneDNN.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

MOST_BYTES = 2 * 2**30
"""Linear layers larger than this in total are not packed, to save memory."""

_USUAL_ROWS = 256


@dataclass(eq=False, slots=True)
class _Packed:
    """A packed weight. ``version``: version counter of the weight when packed, which increases with every write."""

    weight: nn.Parameter
    version: int
    tensor: torch.Tensor

    def __deepcopy__(self, memo: Any) -> None:
        """A copied module has its own weights, so it starts unpacked (see `repack`)."""
        return


class PackedLinear(nn.Linear):
    """An `nn.Linear` that uses packed weights, if they are unchanged and frozen.

    With gradients by the input, it does so only if that is faster (`outruns_blas`).
    """

    _packed: _Packed | None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        packed, weight, bias = self._packed, self.weight, self.bias
        if (
            packed is None
            or packed.weight is not weight
            or packed.version != weight._version
            or input.dtype != torch.float32
            or not input.numel()
            or (torch.is_grad_enabled() and (weight.requires_grad or (bias is not None and bias.requires_grad)))
        ):
            return super().forward(input)
        if torch.is_grad_enabled() and input.requires_grad:
            if not outruns_blas():
                return super().forward(input)
            # Flattened inside: the function must not return a view, because Longformer writes to the output in place.
            product: torch.Tensor = _Differentiable.apply(input.reshape(-1, input.shape[-1]), packed.tensor, weight.detach(), bias)
            return product.reshape(*input.shape[:-1], -1)
        return multiply(input, packed.tensor, bias)


class _Differentiable(torch.autograd.Function):
    """The product [N, I] to [N, O], differentiable by its input. The gradient is such a product with transposed weights."""

    @staticmethod
    def forward(ctx: Any, input: torch.Tensor, packed: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.weight = weight
        return multiply(input, packed, bias)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        # oneDNN reads the transposed weights directly, nearly as fast as packed ones.
        transposed = ctx.weight.t()
        return _Differentiable.apply(gradient.contiguous(), transposed, transposed, None), None, None, None


def multiply(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Multiply rows [..., I] by a weight [O, I], packed or not, with oneDNN: float32 [..., O], not recorded for gradients."""
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return product


@cache
def outruns_blas() -> bool:
    """Whether oneDNN's products take less than two thirds of the time of torch's own.

    This is so on a CPU with AVX-512 that is not Intel's, with a torch that is built with Intel's BLAS. It is decided by
    the processor, not by timing: timing depends on the load, and a different choice changes the last bits of responses.
    """
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()):
        return False
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and "Intel" not in _name_processor()


def _name_processor() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()


def pack_linears(module: nn.Module) -> None:
    """Pack the weights of a module's float32 linear layers, if torch supports it and they are not too large."""
    layers = [m for m in module.modules() if type(m) is nn.Linear and m.weight.dtype == torch.float32 and m.weight.device.type == "cpu"]
    if not torch.backends.mkldnn.is_available() or sum(m.weight.nbytes for m in layers) > MOST_BYTES:
        return
    for layer in layers:
        layer.__class__ = PackedLinear
        _pack(layer)


def repack(module: nn.Module) -> None:
    """Pack the current weights of layers that were packed before, e.g. of a copy that was changed."""
    for layer in module.modules():
        if isinstance(layer, PackedLinear):
            _pack(layer)


def _pack(layer: Any) -> None:
    packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _USUAL_ROWS)
    layer._packed = _Packed(layer.weight, layer.weight._version, packed)
