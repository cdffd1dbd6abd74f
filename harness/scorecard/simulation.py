"""Draws other samples like those of a run, and makes answers worse on purpose, to find out what a gate can tell.

Shape legend: N samples, G groups.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..metrics.scores import ColumnMean
from ..statistics import Evidence, Groups
from ..statistics.intervals import Floats, Mask


def draw_samples(evidence: Evidence, rng: np.random.Generator, /) -> Evidence:
    """Return as many groups of samples, drawn with replacement. A sample or group that is drawn twice counts as two."""
    groups = Groups.of(len(evidence.ids_N), evidence.groups)
    drawn_G = rng.integers(0, len(groups.sizes_G), len(groups.sizes_G))
    if groups.are_single:
        return _number(evidence.take(drawn_G))
    order = np.argsort(groups.index_N, kind="stable")
    ends_G = np.cumsum(groups.sizes_G)
    places = [order[ends_G[group] - groups.sizes_G[group] : ends_G[group]] for group in drawn_G.tolist()]
    names = [str(number) for number, group in enumerate(places) for _ in group]
    return replace(_number(evidence.take(np.concatenate(places))), groups=names)


def _number(drawn: Evidence) -> Evidence:
    """Return the evidence with new ids, in order, so that a sample that was drawn twice pairs with itself once."""
    return replace(drawn, ids_N=np.arange(len(drawn.ids_N), dtype=np.uint64), groups=())


def swap_runs(pair: tuple[Evidence, Evidence], rng: np.random.Generator, /) -> tuple[Evidence, Evidence]:
    """Return a pair in which the runs of a random half of the groups are swapped, as if the two runs were one model's.

    ``pair``: the evidence of two runs on the same samples in the same order.
    """
    first, second = pair
    groups = Groups.of(len(first.ids_N), first.groups)
    swapped_N = (rng.random(len(groups.sizes_G)) < 0.5)[groups.index_N]
    return _mix(first, second, swapped_N), _mix(second, first, swapped_N)


def _mix(own: Evidence, other: Evidence, swapped_N: Mask) -> Evidence:
    columns = {name: values.copy() for name, values in own.columns.items()}
    for name, values in columns.items():
        values[swapped_N] = other.columns[name][swapped_N]
    return replace(own, columns=columns)


def worsen(evidence: Evidence, share: float, higher_is_better: bool, rng: np.random.Generator, /) -> Evidence | None:
    """Return evidence in which a random share of the samples has worse answers; None if no way is known for the statistic.

    ``share``: of the samples, in [0, 1].

    A score with bounds becomes the worst possible score. Any other number is computed with the answers of these samples
    exchanged among them, as if the model answered another question.
    """
    changed_N = rng.random(len(evidence.ids_N)) < share
    if isinstance(evidence.statistic, ColumnMean):
        mean = evidence.statistic
        worst = mean.low if higher_is_better else mean.high
        if worst is None:
            return None
        scores_N: Floats = np.where(changed_N, worst, evidence.columns[mean.column])
        return replace(evidence, columns={mean.column: scores_N})
    if "target" not in evidence.columns:
        return None
    places = np.flatnonzero(changed_N)
    others = rng.permutation(places)
    exchanged_N = np.arange(len(changed_N))
    exchanged_N[places] = others
    columns = {name: values if name == "target" else values[exchanged_N] for name, values in evidence.columns.items()}
    return replace(evidence, columns=columns)
