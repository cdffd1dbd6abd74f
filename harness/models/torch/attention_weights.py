"""Get attention weights of an unmodified transformers module by an eager pass, because fused kernels do not store them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ...api.errors import CapabilityError

_MARK = "_output_capturing_hooks_installed"
"""Set by transformers 5 when it hooks a module to capture such outputs. Mark and hooks must be removed together."""


def average_heads(module: Any, run: Callable[[], Any], name: str, /) -> torch.Tensor:
    """Return the attention weights of each layer, averaged over its heads, [N, M, L, L] for N rows and M layers.

    run: runs the pass and returns its output. name: name of the model, for errors.

    Raises `CapabilityError` if the model does not return weights between all positions.
    """
    with torch.no_grad(), _use_eager_attention(module):
        maps = getattr(run(), "attentions", None) or ()
    shapes = {tuple(a.shape) for a in maps if a is not None}
    if len(shapes) != 1 or len(maps) == 0 or any(a is None for a in maps):
        raise CapabilityError(f"{name!r} gives no attention weights: {type(module).__name__} does not return them")
    (shape,) = shapes
    if len(shape) != 4 or shape[2] != shape[3]:
        raise CapabilityError(f"{name!r} gives attention weights of shape {list(shape)}, not of all positions [N, heads, L, L]")
    return torch.stack([a.float().mean(1) for a in maps], 1)


@contextmanager
def _use_eager_attention(module: Any) -> Iterator[None]:
    """Use transformers' eager attention in the body. transformers reads the setting at each pass."""
    from transformers.utils import logging

    before, verbosity = module.config._attn_implementation, logging.get_verbosity()
    hooks = [(part, dict(part._forward_hooks), getattr(part, _MARK, None)) for part in module.modules()]
    module.config._attn_implementation = "eager"
    # Layers of transformers 4 that chose their kernel at construction switch to eager for this output, and warn.
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
