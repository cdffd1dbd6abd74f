"""Linear layers whose weights are laid out for the CPU once, at load, rather than at every product.

A plain float32 product reorders its weights in each call. With weights that oneDNN has reordered before, 16 rows through a vocabulary of
49,152 take half of the time, and 1,024 rows through a layer of 576 x 1,536 take 0.85 of it. The price is a second copy of the weights.
Where torch's BLAS does not use all of a CPU (MKL takes AVX2 on AMD's with AVX-512), any product of oneDNN's takes less than half of its
time. Elsewhere gradients are torch's own: the way back reads turned weights that are not laid out, in 1.2 times its time.
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
"""A model whose linear layers are larger than this keeps its memory to itself."""

_USUAL_ROWS = 256


@dataclass(eq=False, slots=True)
class _Packed:
    """``version`` of the weight that was packed: it counts up when somebody writes to it."""

    weight: nn.Parameter
    version: int
    tensor: torch.Tensor

    def __deepcopy__(self, memo: Any) -> None:
        """A copied module has weights of its own, so it starts without (`repack`)."""
        return


class PackedLinear(nn.Linear):
    """An `nn.Linear` that uses its packed weights where nothing is differentiated, and nothing was written to them. For gradients with
    respect to its input (its weights are frozen) where that is faster, too."""

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
            # Flat within: what the function gives must be no view, or whoever writes to it in place (Longformer) is refused.
            product: torch.Tensor = _Differentiable.apply(input.reshape(-1, input.shape[-1]), packed.tensor, weight.detach(), bias)
            return product.reshape(*input.shape[:-1], -1)
        return linear(input, packed.tensor, bias)


class _Differentiable(torch.autograd.Function):
    """The product [N, I] to [N, O], differentiable with respect to its input: the gradient is one with the turned weights, of this kind
    again."""

    @staticmethod
    def forward(ctx: Any, input: torch.Tensor, packed: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.weight = weight
        return linear(input, packed, bias)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        # oneDNN reads the turned weights as they lie, nearly as fast as if they had been laid out for it.
        turned = ctx.weight.t()
        return _Differentiable.apply(gradient.contiguous(), turned, turned, None), None, None, None


def linear(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """rows [..., I] by weight [O, I], packed or not, give [..., O]: float32, by oneDNN; not recorded for gradients."""
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return product


@cache
def outruns_blas() -> bool:
    """Whether oneDNN's products take less than two thirds of the time of torch's own: on a CPU with AVX-512 that is not Intel's, where
    torch was built with Intel's BLAS. Told by what the processor is: a clock would say something else on a busy machine, and then answers
    would differ in their last bits."""
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()):
        return False
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and "Intel" not in _processor()


def _processor() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()


def pack_linears(module: nn.Module) -> None:
    """Give the module's float32 linear layers packed weights, where the build of torch can and they are not too large."""
    layers = [m for m in module.modules() if type(m) is nn.Linear and m.weight.dtype == torch.float32 and m.weight.device.type == "cpu"]
    if not torch.backends.mkldnn.is_available() or sum(m.weight.nbytes for m in layers) > MOST_BYTES:
        return
    for layer in layers:
        layer.__class__ = PackedLinear
        _pack(layer)


def repack(module: nn.Module) -> None:
    """Pack the present weights of those layers that have had packed ones, e.g. of a copy that was written to."""
    for layer in module.modules():
        if isinstance(layer, PackedLinear):
            _pack(layer)


def _pack(layer: Any) -> None:
    packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _USUAL_ROWS)
    layer._packed = _Packed(layer.weight, layer.weight._version, packed)
