"""Randomise the weights of a model, as a control: its attributions show only the method and the architecture."""

from __future__ import annotations

import copy
import math
from typing import Any, TypeVar

import torch

from ...api.samples import seed_of
from ...identity.digests import digest_parts
from .packed_linear import repack

M = TypeVar("M")


def randomise(adapter: M, seed: int, share: float = 1.0, /) -> M:
    """Return the adapter with a copy of its module whose weights are drawn at random.

    seed: seed of the draws, together with the name of each tensor.
    share: fraction of the layers to randomise, rounded up, from the last: 1 for all layers at once, less for cascading
        randomisation. A layer is a module with weights of its own, in the order in which the module lists them, usually
        from input to output. Tied weights belong to their first layer.

    Each tensor is drawn from a normal distribution with its own mean and standard deviation, so that activations keep
    their scale. Buffers stay unchanged. Source: Adebayo et al. 2018, section 3.
    """
    twin: Any = copy.copy(adapter)
    twin.module = copy.deepcopy(twin.module)
    with torch.no_grad():
        for name, weight in _list_top_weights(twin.module, share):
            draws = torch.Generator().manual_seed(seed_of("randomised", seed, name))
            spread, mean = torch.std_mean(weight.float(), correction=0)
            drawn = torch.randn(weight.shape, generator=draws).to(weight.device) * spread + mean
            weight.copy_(drawn)
    repack(twin.module)
    twin.fingerprint = digest_parts(("randomised", seed, share), (twin.fingerprint,))
    randomised_adapter: M = twin
    return randomised_adapter


def _list_top_weights(module: torch.nn.Module, share: float) -> list[tuple[str, torch.nn.Parameter]]:
    weights = dict(module.named_parameters())
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in weights))
    chosen = set(layers[len(layers) - math.ceil(share * len(layers)) :])
    return [(name, weight) for name, weight in weights.items() if name.rpartition(".")[0] in chosen]
