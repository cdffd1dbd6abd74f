"""Run a transformer on given embeddings instead of its tokens' own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ...api.errors import CapabilityError


@contextmanager
def swap_embeddings(module: Any, features: torch.Tensor, name: str, /) -> Iterator[None]:
    """Replace the output of the module's embedding layer by ``features`` [N, L, D] during its one pass in the body.

    The argument ``inputs_embeds`` is not used: with it, some architectures scale embeddings, count positions or pool differently.

    module: a transformer of transformers. name: name of the model, for errors.
    Raises `CapabilityError` if the pass does not read the embedding layer exactly once.
    """
    num_swaps = 0

    def swap(layer: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        nonlocal num_swaps
        num_swaps += 1
        # Longformer pads to its window itself; that padding stays.
        behind = output[:, features.shape[1] :]
        return torch.cat([features, behind], 1) if behind.shape[1] else features

    handle = module.get_input_embeddings().register_forward_hook(swap)
    try:
        yield
    finally:
        handle.remove()
    if num_swaps != 1:
        raise CapabilityError(
            f"{name!r} has no gradients: {type(module).__name__} reads its token embeddings {num_swaps} times per pass, not once"
        )
