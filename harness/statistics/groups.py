"""Samples that are not independent: groups, and how many independent samples they are worth.

A group is a cluster: what was drawn as one, so that its members are alike beyond what the whole set shares (sentences of a document,
fillings of a template, paraphrases of a question). A category that a set was divided into on purpose is no group but a stratum; its samples
are as independent as any.

Shape legend: N samples, G groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import stdtrit

from ..api.errors import DataError
from .intervals import TAIL, Floats, Ints, Mask, Z

MIN_GROUPS = 5
"""Of fewer groups the spread between them is as good as unknown."""

PHANTOMS, PHANTOM_CORRELATION = 8.0, 0.2
"""The design effect is shrunk towards that of so many samples with this correlation within groups: groups that all say the same do not show
how much groups differ."""


@dataclass(frozen=True)
class Groups:
    """``index_N``: which group each sample is of, counted from 0 in order of first appearance."""

    index_N: Ints

    @classmethod
    def of(cls, n: int, names: Sequence[str | None] = ()) -> Groups:
        """From a name or None for each of ``n`` samples, or nothing; a sample without a name is a group of its own.

        Raises `DataError` where there are more or fewer names than samples.
        """
        if not names:
            return cls(np.arange(n))
        if len(names) != n:
            raise DataError(f"there are {len(names)} groups for {n} samples")
        place_of: dict[Any, int] = {}
        # A sample without a group goes by its number, which is no group's name.
        keys = (place if name is None else name for place, name in enumerate(names))
        return cls(np.fromiter((place_of.setdefault(key, len(place_of)) for key in keys), dtype=np.int64, count=n))

    @property
    def num_samples(self) -> int:
        return len(self.index_N)

    @cached_property
    def sizes_G(self) -> Ints:
        return np.bincount(self.index_N)

    @property
    def are_single(self) -> bool:
        """Whether no two samples share a group."""
        return len(self.sizes_G) == self.num_samples

    @property
    def num_equal(self) -> float:
        """As many groups as equal ones of the size that a sample finds itself in (Kish 1965)."""
        return self.num_samples**2 / float(np.square(self.sizes_G, dtype=np.float64).sum())

    def among(self, mask_N: Mask) -> Groups:
        """The groups of these samples alone."""
        return Groups(np.unique(self.index_N[mask_N], return_inverse=True)[1])

    def sums(self, values_N: Floats) -> Floats:
        """Of each group, float [G]."""
        return np.bincount(self.index_N, weights=values_N, minlength=len(self.sizes_G)).astype(np.float64)

    def effective_size(self, residuals_N: Floats, phantom_variance: float) -> float | None:
        """How many independent samples would tell as much (`effective_size`). ``residuals_N``: what each sample adds to the error of the
        number, its value minus the mean."""
        if self.are_single:
            return float(self.num_samples)
        return effective_size(self.sums(residuals_N), self.sizes_G, float(np.square(residuals_N).sum()), phantom_variance)


def effective_size(residuals_G: Floats, sizes_G: Ints, squares: float, phantom_variance: float) -> float | None:
    """How many independent samples the members of groups are worth; as many as they are where no two share a group. None below
    `MIN_GROUPS`.

    ``residuals_G``: the sum over each group of its members' errors. ``squares``: the sum of all squared errors. ``phantom_variance``: the
    variance of a phantom sample, as large as a sample's can be.
    """
    if len(sizes_G) < min(MIN_GROUPS, int(sizes_G.sum())):
        return None
    spread = np.square(residuals_G).sum(keepdims=True)
    return float(effective_sizes(spread, np.array([squares]), sizes_G, phantom_variance)[0])


def effective_sizes(spread_T: Floats, squares_T: Floats, sizes_G: Ints, phantom_variance: float) -> Floats:
    """`effective_size` of several samples of the same groups. ``spread_T``: the sum of the groups' squared errors, each group's summed over
    its members. ``squares_T``: the sum of all squared errors.

    The rule is that of Korn & Graubard (Survey Methodology 1998): N / d (z / t)², with d the design effect, not below 1, and t the quantile
    on the degrees of freedom. Their d breaks down where all groups agree, and is therefore shrunk (`PHANTOMS`).
    """
    n, num_groups = float(sizes_G.sum()), len(sizes_G)
    if num_groups == n:
        return np.full(len(squares_T), n)
    size = float(np.square(sizes_G, dtype=np.float64).sum()) / n
    phantom = PHANTOMS * phantom_variance
    together_T = num_groups / (num_groups - 1) * spread_T + phantom * (1 + (size - 1) * PHANTOM_CORRELATION)
    alone_T = squares_T + phantom
    effect_T = np.maximum(1.0, np.divide(together_T, alone_T, out=np.full(len(alone_T), size), where=alone_T > 0))
    quantile_T = stdtrit(_degrees_of_freedom(effect_T, sizes_G), 1 - TAIL)
    return np.asarray(n / effect_T * (Z / quantile_T) ** 2)


def _degrees_of_freedom(effect_T: Floats, sizes_G: Ints) -> Floats:
    """Of a design effect: as many as there are groups, less one; of unequal groups, as many as equal ones of the size that a sample finds
    itself in (Kish 1965). Samples that are alone in their groups tell nothing of how much groups differ: theirs are put together with
    those of the others by their parts of the variance (Satterthwaite 1946)."""
    shared_G = sizes_G[sizes_G > 1].astype(np.float64)
    num_shared, num_alone = float(shared_G.sum()), float(np.sum(sizes_G == 1))
    of_shared = max(1.0, num_shared**2 / float(np.square(shared_G).sum()) - 1)
    if not num_alone:
        return np.array([of_shared])
    part_T = np.maximum(effect_T * (num_shared + num_alone) - num_alone, num_shared)
    return np.asarray((part_T + num_alone) ** 2 / (part_T**2 / of_shared + num_alone**2 / max(1.0, num_alone - 1)))
