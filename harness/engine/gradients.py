"""Gradient passes, counted, through a module that is left as it was found (law 6: hooks and grad flags are gone after a crash)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..api.errors import ModelError, SampleError
from ..api.model import Differentiable, Encoded
from ..modalities.image import positions_of
from .counters import Counters
from .wrapped_port import WrappedGradients

_HOOKS = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks",
)  # fmt: skip


@contextmanager
def untouched(module: torch.nn.Module, name: str = "the model") -> Iterator[None]:
    """Evaluation mode, frozen weights, gradients on; then modes, flags, gradients, hooks, buffers and submodules as before.

    Weights that were written to cannot be brought back, so that is a `ModelError`: every later number would be another model's.
    """
    restore = [
        *(_remembered(m) for m in module.modules()),
        *(_remembered_parameter(p) for p in module.parameters()),
        *(_remembered_buffer(b) for b in module.buffers() if not b.is_inference()),
    ]
    versions = [(key, p, p._version) for key, p in module.named_parameters()]
    try:
        module.eval()
        for parameter in module.parameters():
            parameter.requires_grad_(False)
            # Out of the way, so that nothing is added to it in place.
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
                "an attack or a probe changes inputs only. Work on a copy.deepcopy of the module instead."
            )


def _remembered(module: torch.nn.Module) -> Callable[[], None]:
    training, full = module.training, module._is_full_backward_hook
    tables = [(table, dict(table)) for table in (getattr(module, name) for name in (*_HOOKS, "_modules"))]

    def restore() -> None:
        module.training, module._is_full_backward_hook = training, full
        for table, before in tables:
            # The same dict, for handles given out before point to it.
            table.clear()
            table.update(before)

    return restore


def _remembered_parameter(parameter: torch.nn.Parameter) -> Callable[[], None]:
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


def _remembered_buffer(buffer: torch.Tensor) -> Callable[[], None]:
    """E.g. the running statistics of a batch norm that somebody put into training mode."""
    before = buffer.detach().clone()

    def restore() -> None:
        # Always: native kernels write to a buffer without counting up its version.
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
                "the model's scores have no gradient by its input: something on the way cuts it (argmax, rounding, numpy, detach). "
                "Use a method without gradients: square or hopskipjump to attack, occlusion or kernel_shap to explain"
            )
        tokens, num_passes = self.take_beginnings()
        self._counters.gradient_passes += num_passes
        self._counters.tokens_computed += tokens
        self._counters.flops += tokens * self._flops_per_token
        # The way back to the features costs as much again: weights are frozen, so nothing is computed for them.
        self._count(features, encoded, rows, 2 if logits.requires_grad else 1)
        return logits

    def attentions(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        found = super().attentions(features, encoded, rows)
        self._count(features, encoded, rows, 1)
        return found

    def _count(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None, passes: int) -> None:
        if encoded.mask_BL is None:
            computed, padded = features.shape[0] * positions_of(*features.shape[-2:]), 0
        else:
            mask = (encoded.mask_BL if rows is None else encoded.mask_BL[rows])[:, encoded.mask_BL.shape[1] - features.shape[1] :]
            computed = int(mask.sum())
            padded = mask.numel() - computed
        self._counters.gradient_passes += 1
        self._counters.tokens_computed += computed
        self._counters.flops += passes * computed * self._flops_per_token
        self._counters.tokens_padded += padded
