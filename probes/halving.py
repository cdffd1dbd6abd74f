"""Integrate gradients on the path from a neutral input to the sample, halving pieces with a large error.

The attributions on a piece of the path must sum to the logit's change on that piece. The logit of a saturated model
changes abruptly: evenly spaced points rarely fall near the jump, and twice as many points rarely do either. Ten
halvings make the piece that contains the jump narrow enough and cost nothing on the rest of the path. A half has fewer
points than the initial path, so the error can grow before it falls; the best sum is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .gradients import GradientWork, Rows, add_weighted
from .integral import Integral, compute_gauss_legendre
from .positions import Values

if TYPE_CHECKING:
    import torch

_POINTS = 8
"""Points per half. Gauss-Legendre quadrature with 8 points is exact for a gradient of polynomial degree up to 15."""
_NARROW = 1 / 8
"""Smallest share of the total allowed error that a piece is held to; below it rounding errors would dominate."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of the path.

    start, end: ends of the piece, in [0, 1].
    values: attributions per position on the piece.
    error: absolute difference between their sum and the logit's change on the piece.
    """

    start: float
    end: float
    values: Values
    error: float

    def halves(self) -> list[tuple[float, float]]:
        """Return the ends of the two halves."""
        middle = (self.start + self.end) / 2
        return [(self.start, middle), (middle, self.end)]


@dataclass(slots=True)
class _Way:
    """State of the integration of one sample.

    change: the logit's change on the whole path.
    allowed: allowed error of the total.
    total: sum of the values of all pieces.
    wrong: pieces whose error is too large.
    steps: number of points used so far.
    best: total with the smallest error so far.
    missed: error of ``best``.
    """

    change: float
    allowed: float
    total: Values
    wrong: list[_Piece]
    steps: int
    best: Values
    missed: float

    @classmethod
    def of(cls, whole: _Piece, change: float, allowed: float, steps: int) -> _Way:
        """Create the state of a path that consists of one piece."""
        return cls(change, allowed, whole.values, [whole], steps, whole.values, whole.error)

    def take_worst(self, most: int) -> list[_Piece]:
        """Remove and return the pieces with the largest errors, as many as can be halved within ``most`` points."""
        self.wrong.sort(key=lambda piece: -piece.error)
        num = max(0, most - self.steps) // (2 * _POINTS)
        chosen, self.wrong = self.wrong[:num], self.wrong[num:]
        return chosen

    def replace(self, piece: _Piece, halves: Sequence[_Piece]) -> None:
        """Replace a piece by its halves and update the best total.

        Pieces are replaced one at a time, largest error first. A run with a smaller limit of points would have stopped
        at one of these totals, so a larger limit never gives a worse result.
        """
        self.steps += _POINTS * len(halves)
        self.total = self.total - piece.values + sum(half.values for half in halves)
        self.wrong += [half for half in halves if half.error > self.allowed * max(half.end - half.start, _NARROW)]
        missed = abs(float(self.total.sum()) - self.change)
        if missed < self.missed:
            self.best, self.missed = self.total, missed


class Halving(Integral):
    """Base class of probes that halve pieces of the path. A subclass defines `logits` and `shares`.

    A point of the path is a number from 0, the neutral input, to 1, the sample.
    """

    def logits(self, rows: Rows, at_N: Values, /) -> torch.Tensor:
        """Return the explained class's logit [N].

        rows: rows of a pass.
        at_N: point of each row in [0, 1].
        """
        raise NotImplementedError

    def shares(self, rows: Rows, at_N: Values, /) -> torch.Tensor:
        """Return the gradient times the difference between the path's ends, per row in the shape of the values.

        rows: rows of a pass.
        at_N: point of each row in [0, 1].
        """
        raise NotImplementedError

    def summed(self, work: GradientWork, changes: Sequence[float | None], /) -> Mapping[int, tuple[Values, int]]:
        weights, points = compute_gauss_legendre(self.steps)
        whole = self._sum_integrals(work, dict.fromkeys(range(len(changes)), points), weights[:, None])
        found = {index: (values[0], self.steps) for index, values in whole.items()}
        ways: dict[int, _Way] = {}
        for index, change in enumerate(changes):
            values = found[index][0]
            if change is not None and self.misses(float(values.sum()), change):
                piece = _Piece(0.0, 1.0, values, abs(float(values.sum()) - change))
                ways[index] = _Way.of(piece, change, self.allowed(change), self.steps)
        while chosen := {i: pieces for i, way in ways.items() if (pieces := way.take_worst(self.max_steps))}:
            halves = self._integrate_pieces(
                work, {i: [half for piece in pieces for half in piece.halves()] for i, pieces in chosen.items()}
            )
            for index, pieces in chosen.items():
                for number, piece in enumerate(pieces):
                    ways[index].replace(piece, halves[index][2 * number : 2 * number + 2])
        return {**found, **{index: (way.best, way.steps) for index, way in ways.items()}}

    def _integrate_pieces(self, work: GradientWork, asked: Mapping[int, Sequence[tuple[float, float]]]) -> dict[int, list[_Piece]]:
        """Integrate over pieces of the path and return them by sample index.

        Samples with equally many pieces share passes.

        work: the samples.
        asked: start and end of each piece in [0, 1], by sample index.
        """
        weights, points = compute_gauss_legendre(_POINTS)
        found: dict[int, list[_Piece]] = {}
        for num in sorted({len(halves) for halves in asked.values()}):
            some = {i: np.array(halves) for i, halves in asked.items() if len(halves) == num}
            inside = {i: (edges[:, :1] + points * np.diff(edges)).reshape(-1) for i, edges in some.items()}
            integrals = self._sum_integrals(work, inside, np.kron(np.eye(num), weights[:, None]).astype(np.float64))
            logits = self._compute_logits(work, {i: edges.reshape(-1) for i, edges in some.items()})
            for i, edges in some.items():
                found[i] = []
                for (start, end), values, change in zip(
                    edges.tolist(), integrals[i], np.diff(logits[i].reshape(num, 2))[:, 0], strict=True
                ):
                    own = values * (end - start)
                    found[i].append(_Piece(start, end, own, abs(float(own.sum()) - float(change))))
        return found

    def _sum_integrals(self, work: GradientWork, points: Mapping[int, Values], weights_KP: Values) -> dict[int, Values]:
        """Return P weighted sums of the shares of each sample by its index: [P, L] or [P, H, W].

        work: the samples.
        points: points of each sample [K] in [0, 1].
        weights_KP: weight of each point in each sum.
        """
        found: dict[int, Values] = {}
        for rows in work.passes(list(points), len(weights_KP)):
            add_weighted(found, rows, weights_KP, self.shares(rows, _find_points(rows, points)))
        return found

    def _compute_logits(self, work: GradientWork, points: Mapping[int, Values]) -> dict[int, Values]:
        """Return the explained class's logits at the points of each sample."""
        import torch

        found = {index: np.zeros(own.size) for index, own in points.items()}
        for rows in work.passes(list(points), max((own.size for own in points.values()), default=1)):
            with torch.no_grad():
                logits_N = self.logits(rows, _find_points(rows, points)).double().tolist()
            for index, step, logit in zip(rows.indices, rows.steps, logits_N, strict=True):
                found[index][step] = logit
        return found


def _find_points(rows: Rows, points: Mapping[int, Values]) -> Values:
    """Return the point [N] of each row."""
    return np.array([points[index][step] for index, step in zip(rows.indices, rows.steps, strict=True)])
