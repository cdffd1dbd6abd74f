"""Gradient passes, counted, through a module that is left as it was found (law 6: hooks and grad flags are gone after a crash)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from ..plugins import Differentiable, Encoded
from ..requests import Classify
from .counters import Counters

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextmanager
def untouched(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode, frozen weights, gradients on; then modes, flags, gradients and hooks of every submodule as before."""
    modes = [(m, m.training, {name: dict(getattr(m, name)) for name in _HOOKS}) for m in module.modules()]
    flags = [(p, p.requires_grad, p.grad) for p in module.parameters()]
    try:
        module.eval()
        for parameter, _, _ in flags:
            parameter.requires_grad_(False)
        with torch.enable_grad():
            yield
    finally:
        for parameter, required, grad in flags:
            parameter.requires_grad_(required)
            parameter.grad = grad
        for submodule, training, hooks in modes:
            submodule.training = training
            for name, before in hooks.items():
                now = getattr(submodule, name)
                for handle in [h for h in now if h not in before]:
                    del now[handle]


class CountedGradients:
    """A `Differentiable` that counts what passes through it."""

    def __init__(self, inner: Differentiable, counters: Counters) -> None:
        self._inner = inner
        self._counters = counters
        self.module = inner.module

    def encode(self, requests: Sequence[Classify], /) -> Encoded:
        return self._inner.encode(requests)

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        self._counters.gradient_passes += 1
        self._counters.tokens_computed += features.shape[0] * (features.shape[1] if encoded.mask_BL is not None else 1)
        return self._inner.logits(features, encoded, rows)
