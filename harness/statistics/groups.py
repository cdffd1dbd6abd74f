"""Groups of dependent samples, and their effective number of independent samples.

A group is a cluster: samples that were drawn together, and are more similar to each other than to the rest (sentences
of a document, instances of a template, paraphrases of a question). A category into which a data set was divided on
purpose is a stratum, not a group; its samples are independent.

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
"""With fewer groups, the variance between groups is practically unknown."""

PHANTOMS, PHANTOM_CORRELATION = 8.0, 0.2
"""Number of phantom samples, and their correlation within groups, towards which the design effect is shrunk: equal groups
do not show how much groups differ."""


@dataclass(frozen=True)
class Groups:
    """The groups of samples. ``index_N``: group of each sample, numbered from 0 in order of first appearance."""

    index_N: Ints

    @classmethod
    def of(cls, n: int, names: Sequence[str | None] = ()) -> Groups:
        """Build groups from a name or None for each of ``n`` samples, or from nothing.

        A sample without a name is a group of its own. Raises `DataError` if the number of names is not ``n``.
        """
        if not names:
            return cls(np.arange(n))
        if len(names) != n:
            raise DataError(f"there are {len(names):,} groups for {n:,} samples")
        index_of: dict[Any, int] = {}
        # A sample without a group is identified by its index, an int, which differs from all names.
        keys = (index if name is None else name for index, name in enumerate(names))
        return cls(np.fromiter((index_of.setdefault(key, len(index_of)) for key in keys), dtype=np.int64, count=n))

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
        """The equivalent number of equal groups, of the mean group size over samples (Kish 1965)."""
        return self.num_samples**2 / float(np.square(self.sizes_G, dtype=np.float64).sum())

    def among(self, mask_N: Mask) -> Groups:
        """Return the groups of the samples in a mask only."""
        return Groups(np.unique(self.index_N[mask_N], return_inverse=True)[1])

    def sums(self, values_N: Floats) -> Floats:
        """Return the sum over each group, float [G]."""
        return np.bincount(self.index_N, weights=values_N, minlength=len(self.sizes_G)).astype(np.float64)

    def effective_size(self, residuals_N: Floats, phantom_variance: float) -> float | None:
        """Return the effective number of independent samples (`effective_size`).

        residuals_N: error of each sample, its value minus the mean.
        """
        if self.are_single:
            return float(self.num_samples)
        return effective_size(self.sums(residuals_N), self.sizes_G, float(np.square(residuals_N).sum()), phantom_variance)


def effective_size(residuals_G: Floats, sizes_G: Ints, squares: float, phantom_variance: float) -> float | None:
    """Return the effective number of independent samples in groups; None below `MIN_GROUPS` groups.

    residuals_G: sum of the errors in each group. squares: sum of all squared errors.
    phantom_variance: variance of a phantom sample, the largest possible of a sample.
    """
    if len(sizes_G) < min(MIN_GROUPS, int(sizes_G.sum())):
        return None
    spread = np.square(residuals_G).sum(keepdims=True)
    return float(effective_sizes(spread, np.array([squares]), sizes_G, phantom_variance)[0])


def effective_sizes(spread_T: Floats, squares_T: Floats, sizes_G: Ints, phantom_variance: float) -> Floats:
    """Return the `effective_size` for T sets of errors with the same groups, float [T].

    spread_T: sum over groups of the squared sum of errors in the group. squares_T: sum of all squared errors.

    The formula is that of Korn & Graubard (Survey Methodology 1998): N / d (z / t)², with d the design effect, at least
    1, and t the quantile for the degrees of freedom. Their d fails if all groups agree, and is therefore shrunk
    (`PHANTOMS`).
    """
    n, num_groups = float(sizes_G.sum()), len(sizes_G)
    if num_groups == n:
        return np.full(len(squares_T), n)
    size = float(np.square(sizes_G, dtype=np.float64).sum()) / n
    phantom = PHANTOMS * phantom_variance
    together_T = num_groups / (num_groups - 1) * spread_T + phantom * (1 + (size - 1) * PHANTOM_CORRELATION)
    alone_T = squares_T + phantom
    effect_T = np.maximum(1.0, np.divide(together_T, alone_T, out=np.full(len(alone_T), size), where=alone_T > 0))
    quantile_T = stdtrit(_count_degrees(effect_T, sizes_G), 1 - TAIL)
    return np.asarray(n / effect_T * (Z / quantile_T) ** 2)


def _count_degrees(effect_T: Floats, sizes_G: Ints) -> Floats:
    """Return the degrees of freedom of a design effect: the number of groups minus 1.

    Unequal groups count as the equivalent number of equal groups (Kish 1965). Groups of one sample do not show how much
    groups differ; their degrees of freedom are combined with the others by their shares of the variance (Satterthwaite
    1946).
    """
    shared_G = sizes_G[sizes_G > 1].astype(np.float64)
    num_shared, num_alone = float(shared_G.sum()), float(np.sum(sizes_G == 1))
    of_shared = max(1.0, num_shared**2 / float(np.square(shared_G).sum()) - 1)
    if not num_alone:
        return np.array([of_shared])
    part_T = np.maximum(effect_T * (num_shared + num_alone) - num_alone, num_shared)
    return np.asarray((part_T + num_alone) ** 2 / (part_T**2 / of_shared + num_alone**2 / max(1.0, num_alone - 1)))
