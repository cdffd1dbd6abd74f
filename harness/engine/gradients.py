"""Counted gradient passes through a module that is restored afterwards (law 6: hooks and grad flags are gone after a crash)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..api.errors import ModelError, SampleError
from ..api.model import PIXELS, Differentiable, Encoded
from ..modalities.image import count_positions
from .counters import Counters
from .wrapped_port import WrappedGradients

_HOOKS = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks",
)  # fmt: skip


@contextmanager
def restore_afterwards(module: torch.nn.Module, name: str = "the model") -> Iterator[None]:
    """Prepare a module for gradients by the input, and restore it afterwards.

    In the body: evaluation mode, frozen weights, gradients enabled. Afterwards modes, flags, gradients, hooks, buffers
    and submodules are restored.

    Raises `ModelError` if weights were changed, because they cannot be restored.
    """
    restore = [
        *(_save_module(m) for m in module.modules()),
        *(_save_parameter(p) for p in module.parameters()),
        *(_save_buffer(b) for b in module.buffers() if not b.is_inference()),
    ]
    versions = [(key, p, p._version) for key, p in module.named_parameters()]
    try:
        module.eval()
        for parameter in module.parameters():
            parameter.requires_grad_(False)
            # Removed, so that nothing accumulates in it.
            parameter.grad = None
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for step in restore:
            step()
        written = [key for key, parameter, version in versions if parameter._version != version]
        if written:
            raise ModelError(
                f"the weights of {name!r} were changed inside engine.differentiable() ({', '.join(written[:3])}); "
                "attacks and probes may only change inputs. Work on a copy.deepcopy of the module instead"
            )


def _save_module(module: torch.nn.Module) -> Callable[[], None]:
    training, full = module.training, module._is_full_backward_hook
    tables = [(table, dict(table)) for table in (getattr(module, name) for name in (*_HOOKS, "_modules"))]

    def restore() -> None:
        module.training, module._is_full_backward_hook = training, full
        for table, before in tables:
            # The same dict object, because handles of hooks refer to it.
            table.clear()
            table.update(before)

    return restore


def _save_parameter(parameter: torch.nn.Parameter) -> Callable[[], None]:
    required, grad = parameter.requires_grad, parameter.grad
    hooks = {name: getattr(parameter, name, None) for name in ("_backward_hooks", "_post_accumulate_grad_hooks")}
    before: dict[str, Any] = {name: dict(table) if table else None for name, table in hooks.items()}

    def restore() -> None:
        for name, table in hooks.items():
            now = getattr(parameter, name, None)
            if now is not None:
                now.clear()
                now.update(before[name] or {})
            if now is not table:
                setattr(parameter, name, table)
        parameter.requires_grad_(required)
        parameter.grad = grad

    return restore


def _save_buffer(buffer: torch.Tensor) -> Callable[[], None]:
    """Return a function that restores a buffer, such as the running statistics of a batch norm in training mode."""
    before = buffer.detach().clone()

    def restore() -> None:
        # Always, because native kernels write to buffers without changing the version counter.
        with torch.no_grad():
            buffer.copy_(before)

    return restore


class CountedGradients(WrappedGradients):
    """Gradients whose passes are counted."""

    def __init__(self, inner: Differentiable, counters: Counters, flops_per_token: int = 0) -> None:
        super().__init__(inner)
        self._counters = counters
        self._flops_per_token = flops_per_token

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        logits = super().logits(features, encoded, rows)
        if features.requires_grad and not logits.requires_grad and torch.is_grad_enabled():
            raise SampleError(
                "the model's scores have no gradient by its input; an operation cuts it (argmax, rounding, numpy, detach). "
                "Use a method without gradients: square or hopskipjump to attack, occlusion or kernel_shap to explain"
            )
        tokens, num_passes = self.take_beginnings()
        self._counters.gradient_passes += num_passes
        self._counters.tokens_computed += tokens
        self._counters.flops += tokens * self._flops_per_token
        # The backward pass costs as much as the forward pass, because weights are frozen.
        self._count(features, encoded, rows, 2 if logits.requires_grad else 1)
        return logits

    def attentions(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        attentions = super().attentions(features, encoded, rows)
        self._count(features, encoded, rows, 1)
        return attentions

    def _count(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None, passes: int) -> None:
        if encoded.mask_BL is None:
            each = count_positions(*features.shape[-2:]) if encoded.domain == PIXELS else features[0].numel()
            computed, padded = features.shape[0] * each, 0
        else:
            mask = (encoded.mask_BL if rows is None else encoded.mask_BL[rows])[:, encoded.mask_BL.shape[1] - features.shape[1] :]
            computed = int(mask.sum())
            padded = mask.numel() - computed
        self._counters.gradient_passes += 1
        self._counters.tokens_computed += computed
        self._counters.flops += passes * computed * self._flops_per_token
        self._counters.tokens_padded += padded
