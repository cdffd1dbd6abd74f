"""Square: random search with square-shaped changes (Andriushchenko et al. 2020, arXiv:1912.00049).

The search uses only the model's scores, no gradients.

Shape legend: N rows, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ...harness.api.errors import ConfigError
from ...harness.api.settings import Count
from .base import BLACK_BOX, ImageAttack
from .losses import compute_margin
from .lp_geometry import measure_length, spread_over_pixels
from .victims import Victims

if TYPE_CHECKING:
    import torch

_AT_ONCE = 32
"""Number of changes per draw and sample; one generator call per change would take as long as a pass of a small
model."""
_HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the schedule after which the share of pixels is halved; in the paper at 10 to 8,000 of 10,000 queries."""


class Square(ImageAttack):
    """Random search: replace squares of the perturbation and keep changes that increase the margin of the
    wrong classes.

    Needs no gradients.

    epsilon: radius in [0, 1] pixel units (8/255 = 0.0314).
    norm: ``linf`` or ``l2``.
    queries: maximum number of queries per restart.
    share: share of the pixels that the first squares change; it is halved nine times.
    schedule: number of queries over which it is halved. Default: queries. AutoAttack uses 5,000 queries with
        the schedule of 10,000.
    restarts: number of restarts, on the samples that are still correct.
    epsilons: further radii below epsilon for ``robust_accuracy[RADIUS]``, tried one after the other on the
        samples that are still correct.

    Every random draw depends on the sample only. The adversarial example is the first misclassified point, or
    the one with the largest margin, ``best_loss``. num_queries: number of classified images.
    budget_exhausted: 1 if all queries failed.

    Reference: M. Andriushchenko, F. Croce, N. Flammarion, M. Hein. Square Attack: a Query-efficient Black-box
    Adversarial Attack via Random Search. ECCV 2020.
    """

    requires = BLACK_BOX

    def __init__(
        self, *, epsilon: float = 8 / 255, norm: str = "linf", queries: Count = 5000, share: float = 0.8,
        schedule: Count | None = None, restarts: Count = 1, epsilons: Sequence[float] = (),
    ) -> None:  # fmt: skip
        if queries < 1 or restarts < 1:
            raise ConfigError(f"square needs at least one query and one restart, not {queries} and {restarts}")
        if schedule is not None and schedule < 1:
            raise ConfigError(f"schedule must be a number of queries, or omitted to equal queries, not {schedule}")
        if not 0 < share <= 1:
            raise ConfigError(f"share must be a share of the pixels, above 0 and at most 1, not {share}")
        super().__init__(epsilon, norm, epsilons)
        self.queries, self.share, self.restarts = queries, share, restarts
        self.schedule = queries if schedule is None else schedule

    def search(self, victims: Victims, /) -> None:
        begin, change = (_draw_stripes, _set_square) if victims.threat.norm == "linf" else (_draw_tiles, _move_bump)
        channels = victims.clean.shape[1]
        numbers = victims.clean.new_empty(len(victims.clean), _AT_ONCE, channels + 5)
        for _ in range(self.restarts):
            rows_N = victims.standing()
            if not len(rows_N):
                break
            best, loss_N = victims.clean[rows_N], victims.clean.new_full((len(rows_N),), -math.inf)
            for query in range(self.queries):
                clean, at = victims.clean[rows_N], (query - 1) % _AT_ONCE
                if query == 0:
                    delta = begin(victims, rows_N)
                else:
                    if at == 0:
                        numbers[rows_N] = victims.draw(rows_N, lambda noise: noise.random((_AT_ONCE, channels + 5), np.float32))
                    delta = change(victims.radius, best - clean, self._share_at(query - 1), numbers[rows_N, at])
                rows_N, best, loss_N = _improve(victims, rows_N, (clean + delta).clamp(0, 1), best, loss_N)
                if not len(rows_N):
                    break
            victims.offer(rows_N, best, loss_N)
        victims.facts["budget_exhausted"] = (~victims.fallen_B).double()

    def _share_at(self, change: int) -> float:
        """Return the share of pixels that a change replaces, by the number of earlier changes."""
        return self.share / 2.0 ** sum(change > after * self.schedule for after in _HALVINGS)


def _improve(
    victims: Victims, rows_N: torch.Tensor, tried: torch.Tensor, best: torch.Tensor, loss_N: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Evaluate new points, and store and remove the rows that are misclassified.

    victims: the batch.
    rows_N: rows of the points.
    tried: new points [N, C, H, W].
    best: points with the largest margin so far [N, C, H, W].
    loss_N: margin of the best points.
    Returns the remaining rows, their best points and the margins of these.
    """
    import torch

    logits_NK, target_N = victims.ask(tried, rows_N), victims.target_B[rows_N]
    tried_loss_N, wrong_N = compute_margin(logits_NK, target_N), logits_NK.argmax(1) != target_N
    better_N = tried_loss_N > loss_N
    best, loss_N = torch.where(spread_over_pixels(better_N), tried, best), torch.where(better_N, tried_loss_N, loss_N)
    if not bool(wrong_N.any()):
        return rows_N, best, loss_N
    victims.offer(rows_N[wrong_N], best[wrong_N], loss_N[wrong_N])
    victims.keep(rows_N[wrong_N], tried[wrong_N], wrong_N[wrong_N])
    return rows_N[~wrong_N], best[~wrong_N], loss_N[~wrong_N]


# ── L-infinity: every pixel changes by plus or minus the radius ───────────────────────────────────────────────────────


def _draw_stripes(victims: Victims, rows_N: torch.Tensor) -> torch.Tensor:
    """Return a perturbation of plus or minus the radius per column and channel, [N, C, H, W]."""
    _, channels, _, width = victims.clean.shape
    return victims.radius * victims.draw(rows_N, lambda noise: _draw_signs(noise, (channels, 1, width))).expand_as(victims.clean[rows_N])


def _set_square(radius: float, delta: torch.Tensor, share: float, numbers: torch.Tensor) -> torch.Tensor:
    """Set a square of each perturbation to plus or minus the radius, with one sign per channel.

    radius: radius of the ball.
    delta: perturbations [N, C, H, W].
    share: share of the pixels in the square.
    numbers: uniform random numbers in [0, 1), [N, C + 5].
    """
    import torch

    channels, height, width = delta.shape[1:]
    side = min(max(round(math.sqrt(share * height * width)), 1), height, width)
    inside_NHW = _make_window(_convert_to_corners(numbers[:, :2], side, height, width), side, height, width)
    return torch.where(inside_NHW[:, None], radius * _convert_to_signs(numbers[:, -channels:])[:, :, None, None], delta)


# ── L2: bumps of both signs; a change moves the mass of one window to another ─────────────────────────────────────────


def _draw_tiles(victims: Victims, rows_N: torch.Tensor) -> torch.Tensor:
    """Return a perturbation of length radius that tiles the image with bumps of random sign, [N, C, H, W]."""
    import torch

    clean = victims.clean[rows_N]
    channels, height, width = clean.shape[1:]
    side = max(min(height, width) // 5, 1)
    down, across = height // side, width // side
    drawn = victims.draw(
        rows_N, lambda noise: np.concatenate([_draw_signs(noise, (channels, down, across)), _draw_signs(noise, (1, down, across))])
    )
    bump = _make_bump(side, clean)
    tiles = torch.where(drawn[:, -1:, :, None, :, None] > 0, bump[:, None, :], bump.T[:, None, :]) * drawn[:, :-1, :, None, :, None]
    delta = torch.zeros_like(clean)
    top, left = (height - side * down) // 2, (width - side * across) // 2
    delta[:, :, top : top + side * down, left : left + side * across] = tiles.reshape(len(clean), channels, side * down, side * across)
    return _scale_to_length(delta, victims.radius)


def _move_bump(radius: float, delta: torch.Tensor, share: float, numbers: torch.Tensor) -> torch.Tensor:
    """Clear one window of each perturbation, and add a new bump to another.

    The second window receives the mass of both windows and the mass that clipping to the box removed.

    radius: radius of the ball.
    delta: perturbations [N, C, H, W].
    share: share of the pixels in a window.
    numbers: uniform random numbers in [0, 1), [N, C + 5].
    """
    import torch

    channels, height, width = delta.shape[1:]
    side = max(round(math.sqrt(share * height * width)), 3) | 1
    side = min(side, (min(height, width) - 1) | 1)
    corners = [_convert_to_corners(numbers[:, i : i + 2], side, height, width) for i in (0, 2)]
    filled, emptied = (_make_window(some, side, height, width)[:, None] for some in corners)
    bump = _make_bump(side, delta)
    turned = torch.where(numbers[:, 4, None, None] < 0.5, bump, bump.T)[:, None] * _convert_to_signs(numbers[:, 5:])[:, :, None, None]
    spare_N = (radius**2 - measure_length(delta, "l2") ** 2).clamp_min(0) / channels
    mass_NC = ((delta * (filled | emptied)) ** 2).sum((2, 3)) + spare_N[:, None]
    old = delta * filled
    old = old / old.flatten(2).norm(dim=2).clamp_min(1e-12)[:, :, None, None]
    new = old + _place(turned, corners[0], delta)
    new = new / new.flatten(2).norm(dim=2).clamp_min(1e-12)[:, :, None, None] * mass_NC.sqrt()[:, :, None, None]
    return _scale_to_length(torch.where(filled, new, torch.where(emptied, 0.0, delta)), radius)


def _make_bump(side: int, like: torch.Tensor) -> torch.Tensor:
    """Return a bump [side, side] of unit length: a hill in the upper half, a negative hill in the lower half.

    like: tensor with the dtype and device of the result.
    """
    import torch

    made = torch.zeros(side, side, dtype=like.dtype, device=like.device)
    made[: side // 2] = _make_hill(side // 2, side).to(made)
    made[side // 2 :] = -_make_hill(side - side // 2, side).to(made)
    bump: torch.Tensor = made / made.norm().clamp_min(1e-12)
    return bump


@lru_cache(maxsize=64)
def _make_hill(height: int, width: int) -> torch.Tensor:
    """Return a hill [height, width] of unit length.

    Before scaling, ring k around the centre has the height sum over j >= k of 1 / (j + 1)^2.
    """
    import torch

    if height == 0:
        return torch.zeros(0, width)
    rings = max(height, width) // 2 + 1
    heights = torch.tensor([1 / (j + 1) ** 2 for j in range(rings)]).flip(0).cumsum(0).flip(0)
    down, across = (torch.arange(n) - n // 2 for n in (height, width))
    made = heights[torch.maximum(down.abs()[:, None], across.abs()[None])]
    hill: torch.Tensor = made / made.norm()
    return hill


def _place(patches: torch.Tensor, corners_N2: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return zeros with one patch per row, in the shape of ``like``.

    patches: [N, C, side, side].
    corners_N2: row and column of each patch's upper left corner.
    like: images [N, C, H, W].
    """
    import torch

    side = patches.shape[-1]
    steps = torch.arange(side, device=like.device)
    down, across = (corners_N2[:, i, None] + steps for i in (0, 1))
    made = torch.zeros_like(like)
    rows = torch.arange(len(like), device=like.device)
    made[rows[:, None, None], :, down[:, :, None], across[:, None, :]] = patches.permute(0, 2, 3, 1)
    return made


def _scale_to_length(delta: torch.Tensor, radius: float) -> torch.Tensor:
    """Scale each row to the L2 length ``radius``."""
    return delta * spread_over_pixels(radius / measure_length(delta, "l2").clamp_min(1e-12))


# ── random draws ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _draw_signs(noise: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw random signs, 1 or -1."""
    return np.asarray(noise.integers(0, 2, shape) * 2.0 - 1.0)


def _convert_to_signs(numbers: torch.Tensor) -> torch.Tensor:
    """Convert uniform numbers in [0, 1) to signs, 1 or -1."""
    return (numbers < 0.5) * 2.0 - 1.0


def _convert_to_corners(numbers_N2: torch.Tensor, side: int, height: int, width: int) -> torch.Tensor:
    """Convert uniform numbers in [0, 1) to the upper left corners of windows inside the image, [N, 2]."""
    places = numbers_N2.new_tensor([height - side + 1, width - side + 1])
    return (numbers_N2 * places).long()


def _make_window(corners_N2: torch.Tensor, side: int, height: int, width: int) -> torch.Tensor:
    """Return a mask [N, H, W], true inside the square with this side and corner."""
    import torch

    inside = []
    for i, size in enumerate((height, width)):
        place = torch.arange(size, device=corners_N2.device)
        start = corners_N2[:, i, None]
        inside.append((place >= start) & (place < start + side))
    return inside[0][:, :, None] & inside[1][:, None, :]
