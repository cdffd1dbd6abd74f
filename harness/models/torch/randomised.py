"""A model whose weights say nothing any more: what an attribution of it is worth is what the method makes of the architecture alone."""

from __future__ import annotations

import copy
import math
from typing import Any, TypeVar

import torch

from ...api.samples import seed_of
from ...identity.digests import digest_parts
from .packed_linear import repack

M = TypeVar("M")


def randomised(adapter: M, seed: int, share: float = 1.0, /) -> M:
    """The adapter on a copy of its module in which every weight is drawn anew (Adebayo et al. 2018, section 3: all layers at once), or
    those of the top layers (cascading randomisation).

    ``share``: of the layers, by their number and rounded up, from the last. A layer is a module that has weights of its own, and their
    order is that in which the module lists them, which is from the input to the output in the usual models. Tied weights are where they
    are first.

    Each tensor is drawn from a normal distribution of its own mean and standard deviation, by the seed and its name: activations keep
    their scale, whatever the architecture. Buffers stay as they are.
    """
    made: Any = copy.copy(adapter)
    made.module = copy.deepcopy(made.module)
    with torch.no_grad():
        for name, weight in _top(made.module, share):
            draws = torch.Generator().manual_seed(seed_of("randomised", seed, name))
            spread, mean = torch.std_mean(weight.float(), correction=0)
            drawn = torch.randn(weight.shape, generator=draws).to(weight.device) * spread + mean
            weight.copy_(drawn)
    repack(made.module)
    made.fingerprint = digest_parts(("randomised", seed, share), (made.fingerprint,))
    twin: M = made
    return twin


def _top(module: torch.nn.Module, share: float) -> list[tuple[str, torch.nn.Parameter]]:
    weights = dict(module.named_parameters())
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in weights))
    chosen = set(layers[len(layers) - math.ceil(share * len(layers)) :])
    return [(name, weight) for name, weight in weights.items() if name.rpartition(".")[0] in chosen]
