"""An integral of gradients on a sample's way from its neutral input, cut in halves where a piece of it is wrong.

What is attributed on a piece of the way sums to the logit's change on that piece, as the whole does to the whole change. A saturated model
changes all at once: points that are evenly spread hardly meet the place, and twice as many hardly do either. Halved again and again, the
piece that holds it is narrow enough after ten rounds, in which the rest of the way costs nothing more. The halves of a piece have fewer
points than the whole began with, so that a sum can become worse before it is right: the best of all sums on the way is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .gradients import GradientWork, Rows, add_weighted
from .integral import Integral, gauss_legendre
from .positions import Values

if TYPE_CHECKING:
    import torch

_POINTS = 8
"""Of a half. Gauss-Legendre: exact where the gradient is a polynomial of degree 15."""
_NARROW = 1 / 8
"""A piece may miss its part of what all may miss, but no narrower one less than this part, where rounding would be measured."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """From ``start`` to ``end`` of the way: its values by position, and how far their sum misses the logit's change there."""

    start: float
    end: float
    values: Values
    error: float

    def halves(self) -> list[tuple[float, float]]:
        middle = (self.start + self.end) / 2
        return [(self.start, middle), (middle, self.end)]


@dataclass(slots=True)
class _Way:
    """One sample's. ``change``: the logit's, all the way. ``total``: the values of all pieces. ``wrong``: pieces that miss their part by
    too much. ``steps``: points so far. ``best``: the total that came nearest to the change, and ``missed``, by how much."""

    change: float
    allowed: float
    total: Values
    wrong: list[_Piece]
    steps: int
    best: Values
    missed: float

    @classmethod
    def of(cls, whole: _Piece, change: float, allowed: float, steps: int) -> _Way:
        return cls(change, allowed, whole.values, [whole], steps, whole.values, whole.error)

    def take_worst(self, most: int) -> list[_Piece]:
        """The worst pieces, as many as ``most`` points allow to halve. They are no longer among the wrong ones."""
        self.wrong.sort(key=lambda piece: -piece.error)
        num = max(0, most - self.steps) // (2 * _POINTS)
        chosen, self.wrong = self.wrong[:num], self.wrong[num:]
        return chosen

    def replace(self, piece: _Piece, halves: Sequence[_Piece]) -> None:
        """Put the halves of a piece in its place.

        Pieces are replaced one after the other, the worst first, so that a run with fewer points stopped at one of the totals that this
        one passes: the best of them is never worse than what fewer points give."""
        self.steps += _POINTS * len(halves)
        self.total = self.total - piece.values + sum(half.values for half in halves)
        self.wrong += [half for half in halves if half.error > self.allowed * max(half.end - half.start, _NARROW)]
        missed = abs(float(self.total.sum()) - self.change)
        if missed < self.missed:
            self.best, self.missed = self.total, missed


class Halving(Integral):
    """Base of these probes. A subclass gives `logits` and `shares`. Points [N] of the way are one for each row, in [0, 1]."""

    def logits(self, rows: Rows, at_N: Values, /) -> torch.Tensor:
        """[N]: the explained class's logit at these points."""
        raise NotImplementedError

    def shares(self, rows: Rows, at_N: Values, /) -> torch.Tensor:
        """The gradient at these points times the whole way, for each row shaped as what is attributed to."""
        raise NotImplementedError

    def summed(self, work: GradientWork, changes: Sequence[float | None], /) -> Mapping[int, tuple[Values, int]]:
        weights, points = gauss_legendre(self.steps)
        whole = self._integrals(work, dict.fromkeys(range(len(changes)), points), weights[:, None])
        found = {index: (values[0], self.steps) for index, values in whole.items()}
        ways: dict[int, _Way] = {}
        for index, change in enumerate(changes):
            values = found[index][0]
            if change is not None and self.misses(float(values.sum()), change):
                piece = _Piece(0.0, 1.0, values, abs(float(values.sum()) - change))
                ways[index] = _Way.of(piece, change, self.allowed(change), self.steps)
        while chosen := {i: pieces for i, way in ways.items() if (pieces := way.take_worst(self.max_steps))}:
            halves = self._pieces(work, {i: [half for piece in pieces for half in piece.halves()] for i, pieces in chosen.items()})
            for index, pieces in chosen.items():
                for number, piece in enumerate(pieces):
                    ways[index].replace(piece, halves[index][2 * number : 2 * number + 2])
        return {**found, **{index: (way.best, way.steps) for index, way in ways.items()}}

    def _pieces(self, work: GradientWork, asked: Mapping[int, Sequence[tuple[float, float]]]) -> dict[int, list[_Piece]]:
        """Samples that are asked about as many pieces go together."""
        weights, points = gauss_legendre(_POINTS)
        found: dict[int, list[_Piece]] = {}
        for num in sorted({len(halves) for halves in asked.values()}):
            some = {i: np.array(halves) for i, halves in asked.items() if len(halves) == num}
            inside = {i: (edges[:, :1] + points * np.diff(edges)).reshape(-1) for i, edges in some.items()}
            integrals = self._integrals(work, inside, np.kron(np.eye(num), weights[:, None]).astype(np.float64))
            logits = self._logits(work, {i: edges.reshape(-1) for i, edges in some.items()})
            for i, edges in some.items():
                found[i] = []
                for (start, end), values, change in zip(
                    edges.tolist(), integrals[i], np.diff(logits[i].reshape(num, 2))[:, 0], strict=True
                ):
                    own = values * (end - start)
                    found[i].append(_Piece(start, end, own, abs(float(own.sum()) - float(change))))
        return found

    def _integrals(self, work: GradientWork, points: Mapping[int, Values], weights_KP: Values) -> dict[int, Values]:
        """By sample, the shares at its points [K], summed by each column of the weights: [P, L] or [P, H, W]."""
        found: dict[int, Values] = {}
        for rows in work.passes(list(points), len(weights_KP)):
            add_weighted(found, rows, weights_KP, self.shares(rows, _at(rows, points)))
        return found

    def _logits(self, work: GradientWork, points: Mapping[int, Values]) -> dict[int, Values]:
        import torch

        found = {index: np.zeros(own.size) for index, own in points.items()}
        for rows in work.passes(list(points), max((own.size for own in points.values()), default=1)):
            with torch.no_grad():
                logits_N = self.logits(rows, _at(rows, points)).double().tolist()
            for index, step, logit in zip(rows.indices, rows.steps, logits_N, strict=True):
                found[index][step] = logit
        return found


def _at(rows: Rows, points: Mapping[int, Values]) -> Values:
    return np.array([points[index][step] for index, step in zip(rows.indices, rows.steps, strict=True)])
