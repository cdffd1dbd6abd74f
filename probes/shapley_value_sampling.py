"""Shapley values by sampling permutations (Castro, Gómez, Tejada 2009, doi:10.1016/j.cor.2008.04.004)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..harness.api.errors import ConfigError
from ..harness.api.settings import Count
from .perturbation import Logit, Mask, Parts, Perturbation, Values


class ShapleyValueSampling(Perturbation):
    """Mean increase of the explained class's logit when a part is restored, over random orders of the parts.

    permutations: number of orders, drawn by the sample's id.
    target: explained class, ``predicted`` or ``gold``.
    grid: patches per side of an image.
    seed: seed of the draws.

    Words are cut with all their sub-tokens, and patches get the image's mean colour, as in the faithfulness
    scores. Works with any classifier. At most permutations * (parts - 1) + 2 queries, because orders share
    prefixes.

    completeness_error: |sum of attributions - (logit of the input - logit of the empty input)|, 0 up to
        rounding. num_evaluations: number of evaluated inputs.

    Reference: J. Castro, D. Gómez, J. Tejada. Polynomial Calculation of the Shapley Value Based on Sampling.
    Computers & Operations Research 36(5), 2009.
    """

    sums = True

    def __init__(self, *, permutations: Count = 25, target: str = "predicted", grid: Count = 8, seed: int = 0) -> None:
        super().__init__(target=target, grid=grid, seed=seed)
        if permutations < 1:
            raise ConfigError(f"shapley_value_sampling needs at least one permutation, not {permutations}")
        self.permutations = permutations

    def orders(self, parts: Parts, rng: np.random.Generator, /) -> Iterator[list[int]]:
        """Yield random permutations of the parts."""
        for _ in range(self.permutations):
            yield rng.permutation(parts.size).tolist()

    def masks(self, parts: Parts, rng: np.random.Generator, /) -> Iterator[Mask]:
        for order in self.orders(parts, rng):
            mask = np.zeros(parts.size, dtype=bool)
            yield mask
            for part in order:
                mask[part] = True
                yield mask

    def combine(self, parts: Parts, rng: np.random.Generator, logit: Logit, /) -> Values:
        values = np.zeros(parts.size)
        for order in self.orders(parts, rng):
            mask = np.zeros(parts.size, dtype=bool)
            before = logit(mask)
            for part in order:
                mask[part] = True
                after = logit(mask)
                values[part] += after - before
                before = after
        return values / self.permutations
