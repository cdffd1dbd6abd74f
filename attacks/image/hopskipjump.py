"""HopSkipJump: the nearest adversarial example from decisions alone (Chen et al. 2020, arXiv:1904.02144)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...harness.api.errors import ConfigError
from ...harness.api.settings import Count
from .base import BLACK_BOX, NearestTwin
from .lp_geometry import find_direction, measure_length, spread_over_pixels
from .victims import Victims

if TYPE_CHECKING:
    import torch

_AT_ONCE = 25
"""Directions per draw and sample. The number is fixed so that draws do not depend on the batch; drawing all directions
at once would need much memory."""
_MOST_HALVINGS = 30


class HopSkipJump(NearestTwin):
    """Walk along the decision boundary towards the clean image, by predicted classes alone, without gradients
    or scores.

    Each iteration estimates the normal of the boundary from random small steps, steps along it, and bisects
    back to the boundary.

    epsilon: maximum distance in [0, 1] pixel units. Default: none; then every sample with an adversarial
        example counts as broken, and ``mean_l2`` or ``mean_linf`` is the mean distance.
    norm: ``l2`` or ``linf``.
    epsilons: radii for ``robust_accuracy[RADIUS]``; they cost nothing.
    iterations: number of hops.
    directions: random directions in the first hop; hop t uses sqrt(t) times as many.
    most_directions: maximum number of directions per hop.
    starts: random images to try for a misclassified start.

    nearest: distance of the adversarial example, or None without a start. num_queries: number of classified
        images.

    Reference: J. Chen, M. I. Jordan, M. J. Wainwright. HopSkipJumpAttack: A Query-Efficient Decision-Based
    Attack. IEEE S&P 2020.
    """

    requires = BLACK_BOX

    def __init__(
        self, *, epsilon: float | None = None, norm: str = "l2", iterations: Count = 50, directions: Count = 100,
        most_directions: Count = 10_000, starts: Count = 100, epsilons: Sequence[float] = (),
    ) -> None:  # fmt: skip
        if iterations < 1 or directions < 1 or most_directions < directions or starts < 1:
            raise ConfigError("hopskipjump needs iterations, directions and starts of at least 1, and most_directions no smaller")
        super().__init__(epsilon, norm, epsilons)
        self.iterations, self.directions, self.most_directions, self.starts = iterations, directions, most_directions, starts

    def search(self, victims: Victims, /) -> None:
        rows_N, current = self._start(victims)
        if not len(rows_N):
            return
        norm, size = victims.threat.norm, current[0].numel()
        # Precision of the bisection and length of the random steps, as shares of the distance to the clean image.
        precision = size**-1.5 if norm == "l2" else float(size) ** -2
        reach = math.sqrt(size) * precision if norm == "l2" else size * precision
        current = _to_boundary(victims, rows_N, current, precision)
        for hop in range(1, self.iterations + 1):
            distance_N = measure_length(current - victims.clean[rows_N], norm)
            probe_N = distance_N * reach if hop > 1 else distance_N.new_full(distance_N.shape, 0.1)
            num = min(int(self.directions * math.sqrt(hop)), self.most_directions)
            normal = find_direction(_estimate_normal(victims, rows_N, current, probe_N, num), norm)
            current = _hop(victims, rows_N, current, normal, distance_N / math.sqrt(hop))
            current = _to_boundary(victims, rows_N, current, precision)

    def _start(self, victims: Victims) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw random images until each row has a misclassified start, for at most ``starts`` rounds.

        Misclassified clean images are stored and not searched.
        Returns the rows with a start [N], and their start images [N, C, H, W].
        """
        rows_N = victims.rows_B
        wrong_N = victims.wrong(victims.clean, rows_N)
        victims.nearer(rows_N, victims.clean, wrong_N)
        searched_N = lacking_N = rows_N[~wrong_N]
        shape = tuple(victims.clean.shape[1:])
        begun = victims.clean.clone()
        for _ in range(self.starts):
            if not len(lacking_N):
                break
            drawn = victims.draw(lacking_N, lambda noise: noise.random(shape, dtype=np.float32))
            wrong_N = victims.wrong(drawn, lacking_N)
            begun[lacking_N[wrong_N]] = drawn[wrong_N]
            victims.nearer(lacking_N, drawn, wrong_N)
            lacking_N = lacking_N[~wrong_N]
        found_N = searched_N[victims.fallen_B[searched_N]]
        return found_N, begun[found_N]


def _to_boundary(victims: Victims, rows_N: torch.Tensor, far: torch.Tensor, precision: float) -> torch.Tensor:
    """Bisect between clean and misclassified images, and return misclassified points near the boundary.

    victims: the batch; nearer adversarial examples are stored in it.
    rows_N: rows of the images.
    far: misclassified images [N, C, H, W].
    precision: precision of the bisection, as a share of the distance.
    """
    import torch

    clean = victims.clean[rows_N]
    low_N, high_N = far.new_zeros(len(far)), far.new_ones(len(far))
    nearest, whole_N = far, measure_length(far - clean, "linf")
    for _ in range(math.ceil(math.log2(1 / precision))):
        middle_N = (low_N + high_N) / 2
        if victims.threat.norm == "l2":
            tried = clean + spread_over_pixels(middle_N) * (far - clean)
        else:
            bound = spread_over_pixels(middle_N * whole_N)
            tried = clean + torch.maximum(torch.minimum(far - clean, bound), -bound)
        wrong_N = victims.wrong(tried, rows_N)
        low_N, high_N = torch.where(wrong_N, low_N, middle_N), torch.where(wrong_N, middle_N, high_N)
        nearest = torch.where(spread_over_pixels(wrong_N), tried, nearest)
    # All points are misclassified: the bisection starts at misclassified points and only accepts such points.
    victims.nearer(rows_N, nearest, torch.ones_like(rows_N, dtype=torch.bool))
    return nearest


def _estimate_normal(victims: Victims, rows_N: torch.Tensor, current: torch.Tensor, probe_N: torch.Tensor, num: int) -> torch.Tensor:
    """Estimate the boundary's normal towards the misclassified side, [N, C, H, W].

    It is the mean of random directions, weighted by the side that each ends on (eq. 16).

    victims: the batch.
    rows_N: rows of the images.
    current: points near the boundary [N, C, H, W].
    probe_N: length of the random steps.
    num: number of random steps per row.
    """
    import torch

    shape = tuple(current.shape[1:])
    plain, weighted, sides_N = torch.zeros_like(current), torch.zeros_like(current), current.new_zeros(len(current))
    for first in range(0, num, _AT_ONCE):
        some = min(_AT_ONCE, num - first)
        drawn = victims.draw(rows_N, partial(_draw_directions, some, shape, victims.threat.norm))
        steps = drawn / drawn.flatten(2).norm(dim=2).clamp_min(1e-12)[:, :, None, None, None]
        tried = (current[:, None] + probe_N[:, None, None, None, None] * steps).clamp(0, 1)
        # Use the steps after clipping to the box.
        steps = (tried - current[:, None]) / probe_N.clamp_min(1e-12)[:, None, None, None, None]
        side = victims.wrong(tried.flatten(0, 1), rows_N.repeat_interleave(some)).view(len(rows_N), -1).to(current) * 2 - 1
        plain, sides_N = plain + steps.sum(1), sides_N + side.sum(1)
        weighted = weighted + (side[:, :, None, None, None] * steps).sum(1)
    mean_N = sides_N / num
    # If all steps end on one side, use their mean, directed towards the misclassified side.
    is_one_sided_N = mean_N.abs() == 1
    return (
        torch.where(spread_over_pixels(is_one_sided_N), spread_over_pixels(mean_N) * plain, weighted - spread_over_pixels(mean_N) * plain)
        / num
    )


def _draw_directions(num: int, shape: tuple[int, ...], norm: str, noise: np.random.Generator) -> np.ndarray:
    """Draw random directions [num, *shape], not normalised."""
    return noise.uniform(-1, 1, (num, *shape)) if norm == "linf" else noise.standard_normal((num, *shape), np.float32)


def _hop(victims: Victims, rows_N: torch.Tensor, current: torch.Tensor, normal: torch.Tensor, size_N: torch.Tensor) -> torch.Tensor:
    """Step along the normal and return the new points [N, C, H, W].

    A step that ends on the correct side is halved until the point is misclassified. If no step succeeds, the row stays.

    victims: the batch.
    rows_N: rows of the images.
    current: misclassified points [N, C, H, W].
    normal: direction of unit length [N, C, H, W].
    size_N: length of the first step.
    """
    landed, going = current.clone(), rows_N.new_ones(len(rows_N)).nonzero()[:, 0]
    for _ in range(_MOST_HALVINGS):
        tried = (current[going] + spread_over_pixels(size_N[going]) * normal[going]).clamp(0, 1)
        wrong = victims.wrong(tried, rows_N[going])
        landed[going[wrong]] = tried[wrong]
        going, size_N = going[~wrong], size_N / 2
        if not len(going):
            break
    return landed
