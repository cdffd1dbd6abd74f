"""The scored samples behind a number, from which the number can be computed again on any of them.

Comparisons of runs pair the samples of two numbers by id, and simulations of gates draw from the samples of one.

Shape legend: N scored samples, M chosen ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from ..api.scorecard import Estimate, Row
from .estimates import estimate
from .intervals import TAIL, Ints
from .statistic import Columns, Statistic

Ids = NDArray[np.uint64]


def hash_id(sample_id: str, /) -> int:
    """Return the 64-bit hash of a sample's id, which pairs the samples of two runs."""
    return int.from_bytes(blake2b(sample_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The N scored samples behind a number.

    ``statistic``: what is computed. ``name``: the number among the statistic's values.
    ``columns``: the columns that the statistic needs, one row per sample. ``labels``: the class names.
    ``ids_N``: the hash of each sample's id (`hash_id`). ``groups``: the group of each sample; empty if there are none.
    ``n_unscored``: the number of samples without a score. ``seed``: for intervals that draw random numbers.
    ``tail``: the probability with which a bound of a comparison may miss; less if the item may end at one of several looks
    (`fixed_looks.find_tails`), and 0 if it may end at any time.
    """

    statistic: Statistic
    name: str
    columns: Columns
    labels: tuple[str, ...]
    ids_N: Ids
    groups: Sequence[str | None] = ()
    n_unscored: int = 0
    seed: int = 0
    tail: float = TAIL

    def compute_value(self) -> float | None:
        """Compute the number without its interval, which takes most of the time; None if it is undefined."""
        return self.statistic.evaluate_columns(self.columns, self.labels).get(self.name) if len(self.ids_N) else None

    def estimate(self) -> Estimate:
        """Compute the number with its interval."""
        return self.estimate_all()[self.name]

    def estimate_all(self) -> dict[str, Estimate]:
        """Compute all values of the statistic, by name."""
        return estimate(self.statistic, self.columns, self.labels, groups=self.groups, n_unscored=self.n_unscored, seed=self.seed)

    def take(self, indices_M: Ints, /) -> Evidence:
        """Return the evidence of these samples, which may repeat; each repetition counts as a sample of the same group."""
        columns = {name: values[indices_M] for name, values in self.columns.items()}
        groups = tuple(self.groups[int(index)] for index in indices_M) if self.groups else ()
        return replace(self, columns=columns, ids_N=self.ids_N[indices_M], groups=groups)


def pair_evidence(first: Evidence, second: Evidence, /) -> tuple[Evidence, Evidence]:
    """Return both restricted to the samples that both have, in the same order."""
    _, places, others = np.intersect1d(first.ids_N, second.ids_N, assume_unique=True, return_indices=True)
    order = np.argsort(places)
    return first.take(places[order]), second.take(others[order])


def get_evidence(row: Row, /) -> Evidence | None:
    """Return the evidence of a row; None if its number is not computed from single samples, or if it was not kept."""
    return row.evidence if isinstance(row.evidence, Evidence) else None
