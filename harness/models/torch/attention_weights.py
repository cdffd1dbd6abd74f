"""Attention weights of an unmodified transformers module, from an eager pass: fused kernels never write them down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ...api.errors import CapabilityError

_MARK = "_output_capturing_hooks_installed"
"""transformers 5 hooks a module when it is first asked for such outputs, and marks it as hooked. The two must go together."""


def head_means(module: Any, run: Callable[[], Any], name: str, /) -> torch.Tensor:
    """[N, M, L, L]: how each of the M layers attends in a pass of N rows, averaged over its heads. ``run``: the pass, and its output.

    Raises `CapabilityError` where the model does not say, or does not attend from every position to every position.
    """
    with torch.no_grad(), _eager(module):
        maps = getattr(run(), "attentions", None) or ()
    shapes = {tuple(a.shape) for a in maps if a is not None}
    if len(shapes) != 1 or len(maps) == 0 or any(a is None for a in maps):
        raise CapabilityError(f"{name!r} gives no attention weights: {type(module).__name__} does not return them")
    (shape,) = shapes
    if len(shape) != 4 or shape[2] != shape[3]:
        raise CapabilityError(f"{name!r} gives attention weights of shape {list(shape)}, not of all positions [N, heads, L, L]")
    return torch.stack([a.float().mean(1) for a in maps], 1)


@contextmanager
def _eager(module: Any) -> Iterator[None]:
    """transformers' own attention in plain products; as it was afterwards. It reads the setting at each pass."""
    from transformers.utils import logging

    before, verbosity = module.config._attn_implementation, logging.get_verbosity()
    hooks = [(part, dict(part._forward_hooks), getattr(part, _MARK, None)) for part in module.modules()]
    module.config._attn_implementation = "eager"
    # Layers of transformers 4 that chose their kernel when they were made do as well when asked for weights, and warn.
    logging.set_verbosity_error()
    try:
        yield
    finally:
        module.config._attn_implementation = before
        logging.set_verbosity(verbosity)
        for part, own, mark in hooks:
            part._forward_hooks.clear()
            part._forward_hooks.update(own)
            if mark is not getattr(part, _MARK, None):
                setattr(part, _MARK, bool(mark))
