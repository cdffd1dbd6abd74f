"""Geometry of L-infinity and L2 balls around images: lengths, steepest directions, projections and random points.

Each function works row by row.

Shape legend: N rows, C channels, H height, W width, D = C * H * W.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...harness.threats import LpBall

if TYPE_CHECKING:
    import torch

_TINY = 1e-12
_FLAT = 1e-30
"""Avoids division by zero; smaller than any meaningful gradient."""
_ROUNDING = 1e-12


def spread_over_pixels(values_N: torch.Tensor, /) -> torch.Tensor:
    """Reshape one number per row to [N, 1, 1, 1], to multiply it with images."""
    return values_N[:, None, None, None]


def measure_length(delta: torch.Tensor, norm: str, /) -> torch.Tensor:
    """Return the length [N] of each row of ``delta`` [N, ...] in the norm."""
    flat_ND = delta.flatten(1)
    return flat_ND.abs().amax(1) if norm == "linf" else flat_ND.norm(dim=1)


def measure_dual_length(gradient: torch.Tensor, norm: str, /) -> torch.Tensor:
    """Return the dual norm [N] of each gradient [N, ...]: the L1 norm for L-infinity, the L2 norm for L2.

    It is the largest rate of change of a function with this gradient along a step of unit length.
    """
    flat_ND = gradient.flatten(1)
    return flat_ND.abs().sum(1) if norm == "linf" else flat_ND.norm(dim=1)


def find_direction(gradient: torch.Tensor, norm: str, /) -> torch.Tensor:
    """Return the steepest ascent direction of unit length in the norm, in the shape of the gradient.

    A zero gradient has the direction 0.
    """
    if norm == "linf":
        return gradient.sign()
    # Scale to 1 first: the squares of tiny gradients are 0 in float32.
    scaled = gradient / spread_over_pixels(gradient.flatten(1).abs().amax(1).clamp_min(1e-37))
    return scaled / spread_over_pixels(scaled.flatten(1).norm(dim=1).clamp_min(_TINY))


def project(pixels: torch.Tensor, clean: torch.Tensor, threat: LpBall, /) -> torch.Tensor:
    """Project pixels onto the ball around the clean images, then into the [0, 1] box.

    The result stays in the ball, because its centre is in the box.

    pixels: [N, C, H, W].
    clean: centres of the balls [N, C, H, W].
    threat: norm and radius; a radius of None has no limit.
    """
    import torch

    delta = pixels - clean
    if threat.epsilon is not None and threat.norm == "linf":
        delta = delta.clamp(-threat.epsilon, threat.epsilon)
    elif threat.epsilon is not None:
        delta = delta * spread_over_pixels((threat.epsilon / measure_length(delta, "l2").clamp_min(_TINY)).clamp(max=1))
    return torch.clamp(clean + delta, 0, 1).detach()


def draw_steps(noises: Sequence[np.random.Generator], clean: torch.Tensor, norm: str, /, radius: float) -> torch.Tensor:
    """Draw a step to a uniformly random point of the ball for each row.

    noises: random generator of each row.
    clean: images [N, C, H, W], for shape and dtype.
    norm: ``linf`` or ``l2``.
    radius: radius of the ball.
    """
    shape = tuple(clean.shape[1:])
    if norm == "linf":
        return _stack([noise.uniform(-radius, radius, shape) for noise in noises], clean)
    return _stack([_draw_in_l2_ball(noise, shape, radius) for noise in noises], clean)


def draw_steps_to_surface(noises: Sequence[np.random.Generator], clean: torch.Tensor, norm: str, /, radius: float) -> torch.Tensor:
    """Draw a step of length ``radius`` in a random direction for each row; parameters as in `draw_steps`."""
    shape = tuple(clean.shape[1:])
    drawn = [noise.uniform(-1, 1, shape) if norm == "linf" else noise.standard_normal(shape) for noise in noises]
    steps = _stack(drawn, clean)
    return steps * spread_over_pixels(radius / measure_length(steps, norm).clamp_min(_TINY))


def _draw_in_l2_ball(noise: np.random.Generator, shape: tuple[int, ...], radius: float) -> np.ndarray:
    """Draw a uniformly random point of the L2 ball."""
    direction = noise.standard_normal(shape)
    distance = radius * noise.random() ** (1 / direction.size)
    return np.asarray(direction / max(float(np.linalg.norm(direction)), _TINY) * distance)


def _stack(steps: Sequence[np.ndarray], like: torch.Tensor) -> torch.Tensor:
    """Stack arrays to a tensor with the dtype and device of ``like``."""
    import torch

    return torch.from_numpy(np.stack(steps)).to(like)


def project_on_hyperplane(pixels: torch.Tensor, normal: torch.Tensor, gap_N: torch.Tensor, norm: str, /) -> torch.Tensor:
    """Return the shortest step [N, C, H, W] inside the [0, 1] box with ``normal @ step = gap``.

    The step is exact. If the box does not reach the hyperplane, the step goes to the nearest corner.

    Along the normal's signs, coordinate i can move by at most its room u_i. By the Karush-Kuhn-Tucker
    conditions the shortest step moves each by min(t * s_i, u_i), with s_i = 1 for L-infinity and |w_i| for
    L2, and t solves sum_i |w_i| min(t * s_i, u_i) = gap. The sum is concave and piecewise linear in t, so
    Newton steps from 0 never overshoot and end after a few pieces.

    pixels: start points [N, C, H, W] in [0, 1].
    normal: normal of each hyperplane [N, C, H, W].
    gap_N: value of ``normal @ step`` on each hyperplane.
    norm: norm of the step's length, ``linf`` or ``l2``.
    """
    import torch

    start_ND, normal_ND = pixels.flatten(1).double(), normal.flatten(1).double()
    # Scale the largest weight to 1, so that no product underflows.
    height_N = normal_ND.abs().amax(1).clamp_min(_FLAT)
    normal_ND = normal_ND * (gap_N.sign().double() / height_N)[:, None]
    gap_N1 = (gap_N.double().abs() / height_N)[:, None]
    weight_ND = normal_ND.abs()
    room_ND = torch.where(normal_ND > 0, 1 - start_ND, start_ND).clamp_min(0) * (weight_ND > 0)
    speed_ND = torch.ones_like(weight_ND) if norm == "linf" else weight_ND
    rate_ND = weight_ND * speed_ND
    time_N1 = torch.zeros_like(gap_N1)
    while True:
        way_ND = time_N1 * speed_ND
        lacking_N1 = gap_N1 - (weight_ND * torch.minimum(way_ND, room_ND)).sum(1, keepdim=True)
        rate_N1 = (rate_ND * (way_ND < room_ND)).sum(1, keepdim=True)
        onward_N1 = time_N1 + torch.where(rate_N1 > 0, lacking_N1 / rate_N1, 0.0)
        going_N1 = onward_N1 > time_N1 * (1 + _ROUNDING)
        if not bool(going_N1.any()):
            break
        time_N1 = torch.where(going_N1, onward_N1, time_N1)
    step_ND = normal_ND.sign() * torch.minimum(time_N1 * speed_ND, room_ND)
    return step_ND.to(pixels.dtype).view_as(pixels)
