"""The outcomes of attacks on samples, in compact arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...scorecard.columns import Mask, Table
from ...store import StoredItem
from ..base.results import RunResults

UNKNOWN = -1
Codes = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcomes of one attack. ``codes``: by score, 1, 0 or `UNKNOWN` per sample, in the order of the task's samples.

    ``ids_N``: the hashes of the samples' ids (`Table.ids`).
    """

    item: StoredItem
    codes: Mapping[str, Codes]
    ids_N: NDArray[np.uint64]
    groups: Sequence[str | None]
    slices: Mapping[str, Mask] = field(default_factory=dict)
    why_not_attacked: str = ""

    @classmethod
    def of(cls, item: StoredItem, table: Table) -> Outcomes:
        scores = ("clean_correct", "robust_correct", "wrong_after")
        everything_N = np.ones(table.num, dtype=bool)
        codes = {score: _encode_scores(table, score) for score in scores}
        return cls(item, codes, table.ids(everything_N), table.groups(everything_N), table.slices(), table.why_not_attacked)

    @property
    def robust_N(self) -> Codes:
        return self.codes["robust_correct"]


def _encode_scores(table: Table, score: str) -> Codes:
    codes_N = np.full(table.num, UNKNOWN, dtype=np.int8)
    given_N = table.given(score)
    codes_N[given_N] = table.values(score, given_N) == 1
    return codes_N


def collect_outcomes(results: RunResults, /) -> list[Outcomes]:
    """Return the outcomes of all attacks of the run, in order."""
    kept = [results.kept.get(item.id) for item in results.items]
    return [outcomes for outcomes in kept if isinstance(outcomes, Outcomes)]
