"""A model whose weights say nothing any more: what an attribution of it is worth is what the method makes of the architecture alone."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch

from ..samples import seed_of
from .fingerprint import of_parts

M = TypeVar("M")


def randomised(adapter: M, seed: int, /) -> M:
    """The adapter on a copy of its module in which every weight is drawn anew (Adebayo et al. 2018, section 3: all layers at once).

    Each tensor is drawn from a normal distribution of its own mean and standard deviation, by the seed and its name: activations keep
    their scale, whatever the architecture. Buffers stay as they are.
    """
    made: Any = copy.copy(adapter)
    made.module = copy.deepcopy(made.module)
    with torch.no_grad():
        for name, weight in made.module.named_parameters():
            draws = torch.Generator().manual_seed(seed_of("randomised", seed, name))
            spread, mean = torch.std_mean(weight.float(), correction=0)
            drawn = torch.randn(weight.shape, generator=draws).to(weight.device) * spread + mean
            weight.copy_(drawn)
    made.fingerprint = of_parts(("randomised", seed), (made.fingerprint,))
    twin: M = made
    return twin
