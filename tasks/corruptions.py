"""Fifteen common corruptions of an image at five severities (Hendrycks & Dietterich 2019, arXiv:1903.12261).

Severities are the paper's: its CIFAR ones for images whose shorter side is below 64 pixels, its ImageNet ones for others. Every function
takes pixels, float [H, W, C] in [0, 1], its severity's numbers and a generator, and gives pixels that may leave [0, 1]: `corrupted` cuts
and rounds them to the 256 steps of a file. Two differ from the paper's program: frost is grown from noise in place of photographs of frost,
and glass takes each pixel from a random neighbour in place of swapping pixels one by one.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float64]
Rng = np.random.Generator
SEVERITIES = (1, 2, 3, 4, 5)
_SMALL = 64


def corrupted(pixels: Pixels, kind: str, severity: int, rng: Rng, /) -> Pixels:
    """Of the same shape, in [0, 1], in steps of 1/255."""
    corruption = CORRUPTIONS[kind]
    settings = (corruption.small if min(pixels.shape[:2]) < _SMALL else corruption.large)[severity - 1]
    given = settings if isinstance(settings, tuple) else (settings,)
    made = corruption.apply(np.asarray(pixels, dtype=np.float64), rng, *given)
    return np.asarray((np.clip(made, 0, 1) * 255).round() / 255)


# ── noise ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _gaussian_noise(pixels: Pixels, rng: Rng, spread: float) -> Pixels:
    return pixels + rng.normal(0, spread, pixels.shape)


def _shot_noise(pixels: Pixels, rng: Rng, photons: float) -> Pixels:
    return rng.poisson(pixels * photons) / photons


def _impulse_noise(pixels: Pixels, rng: Rng, share: float) -> Pixels:
    """So many values are black or white, one as likely as the other."""
    return np.where(rng.random(pixels.shape) < share, rng.integers(0, 2, pixels.shape).astype(np.float64), pixels)


# ── blur ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _defocus_blur(pixels: Pixels, rng: Rng, radius: float, smoothing: float) -> Pixels:
    reach = max(math.ceil(radius), 2) + 2
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = _smoothed((np.hypot(down, across) <= radius).astype(np.float64), smoothing)
    return _filtered(pixels, disk)


def _glass_blur(pixels: Pixels, rng: Rng, spread: float, most: int, rounds: int) -> Pixels:
    blurred = _smoothed(pixels, spread)
    height, width = pixels.shape[:2]
    down, across = np.mgrid[:height, :width]
    for _ in range(rounds):
        steps = rng.integers(-most, most, (2, height, width))
        blurred = blurred[np.clip(down + steps[0], 0, height - 1), np.clip(across + steps[1], 0, width - 1)]
    return _smoothed(blurred, spread)


def _motion_blur(pixels: Pixels, rng: Rng, radius: float, spread: float) -> Pixels:
    return _filtered(pixels, _streak(radius, spread, rng.uniform(-45, 45)))


def _zoom_blur(pixels: Pixels, rng: Rng, largest: float, step: float) -> Pixels:
    zooms = np.arange(1, largest, step)
    return (pixels + sum(_zoomed(pixels, zoom) for zoom in zooms)) / (len(zooms) + 1)


# ── weather ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _snow(
    pixels: Pixels, rng: Rng, mean: float, spread: float, zoom: float, threshold: float, radius: float, streak: float, kept: float
) -> Pixels:
    flakes = _zoomed(rng.normal(mean, spread, (*pixels.shape[:2], 1)), zoom)
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)
    falling = _filtered(flakes, _streak(radius, streak, rng.uniform(-135, -45)))
    whitened = np.maximum(pixels, pixels.mean(2, keepdims=True) * 1.5 + 0.5)
    return np.asarray(kept * pixels + (1 - kept) * whitened + falling + falling[::-1, ::-1])


def _frost(pixels: Pixels, rng: Rng, kept: float, cover: float) -> Pixels:
    """Ice on a window: ridges where two fields of noise meet, bluish white, thickest where a third one is."""
    height, width = pixels.shape[:2]
    fields = [_plasma(height, width, rng, 1.6) for _ in range(3)]
    ridges = (1 - np.abs(fields[0] - fields[1])) ** 6 * np.clip(fields[2] * 1.5, 0, 1)
    tint = np.array([0.85, 0.93, 1.0]) if pixels.shape[2] == 3 else np.ones(pixels.shape[2])
    return np.asarray(kept * pixels + cover * ridges[:, :, None] * tint)


def _fog(pixels: Pixels, rng: Rng, thickness: float, decay: float) -> Pixels:
    height, width = pixels.shape[:2]
    brightest = float(pixels.max())
    fogged = pixels + thickness * _plasma(height, width, rng, decay)[:, :, None]
    return fogged * brightest / (brightest + thickness)


def _brightness(pixels: Pixels, rng: Rng, amount: float) -> Pixels:
    """More value in hue, saturation and value: all channels are scaled alike, so that their largest is brighter by the amount."""
    value = pixels.max(2, keepdims=True)
    brighter = np.clip(value + amount, 0, 1)
    return np.asarray(np.where(value > 0, pixels * brighter / np.maximum(value, 1e-12), brighter))


# ── digital ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _contrast(pixels: Pixels, rng: Rng, kept: float) -> Pixels:
    mean = pixels.mean((0, 1), keepdims=True)
    return np.asarray((pixels - mean) * kept + mean)


def _elastic(pixels: Pixels, rng: Rng, strength: float, smoothness: float, shear: float) -> Pixels:
    """An affine map, and a smooth random displacement. All three are shares of the image's side."""
    from scipy.ndimage import map_coordinates

    height, width = pixels.shape[:2]
    side, centre = min(height, width), np.array([height, width]) / 2
    corners = np.array([[1, 1], [1, -1], [-1, -1]]) * side / 3 + centre
    moved = corners + rng.uniform(-shear * side, shear * side, corners.shape)
    # The affine map that takes the moved corners back to where they were.
    affine = np.linalg.solve(np.column_stack([moved, np.ones(3)]), corners)
    places = np.stack([*np.mgrid[:height, :width], np.ones((height, width))], -1) @ affine
    drift = [_smoothed(rng.uniform(-1, 1, (height, width)), smoothness * side) * strength * side for _ in range(2)]
    where = [places[:, :, axis] + drift[axis] for axis in (0, 1)]
    return np.stack([map_coordinates(channel, where, order=1, mode="reflect") for channel in np.moveaxis(pixels, 2, 0)], -1)


def _pixelate(pixels: Pixels, rng: Rng, share: float) -> Pixels:
    from PIL import Image

    height, width = pixels.shape[:2]
    few = max(int(width * share), 1), max(int(height * share), 1)
    return _channelwise(pixels, lambda one: one.resize(few, Image.Resampling.BOX).resize((width, height), Image.Resampling.NEAREST))


def _jpeg(pixels: Pixels, rng: Rng, quality: int) -> Pixels:
    from PIL import Image

    eight_bits = (pixels * 255).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(eight_bits if eight_bits.shape[2] == 3 else eight_bits[:, :, 0]).save(file, "JPEG", quality=quality)
    made = np.asarray(Image.open(file), dtype=np.float64) / 255
    return made if made.ndim == 3 else np.repeat(made[:, :, None], pixels.shape[2], 2)


# ── what they are made of ─────────────────────────────────────────────────────────────────────────────────────────────


def _smoothed(values: Pixels, spread: float) -> Pixels:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, (spread, spread, 0)[: values.ndim], mode="reflect"))


def _filtered(pixels: Pixels, kernel: Pixels) -> Pixels:
    from scipy.ndimage import convolve

    kernel = kernel / kernel.sum()
    return np.stack([convolve(channel, kernel, mode="reflect") for channel in np.moveaxis(pixels, 2, 0)], -1)


def _streak(radius: float, spread: float, degrees: float) -> Pixels:
    """A line from the middle outwards that fades as a Gaussian does."""
    reach = math.ceil(radius)
    kernel, angle = np.zeros((2 * reach + 1, 2 * reach + 1)), math.radians(degrees)
    for step in range(reach + 1):
        kernel[reach + round(step * math.sin(angle)), reach + round(step * math.cos(angle))] += math.exp(-((step / spread) ** 2) / 2)
    return kernel


def _zoomed(pixels: Pixels, zoom: float) -> Pixels:
    """The middle, enlarged to the whole."""
    from scipy.ndimage import map_coordinates

    height, width = pixels.shape[:2]
    where = np.meshgrid(*((np.arange(n) - (n - 1) / 2) / zoom + (n - 1) / 2 for n in (height, width)), indexing="ij")
    return np.stack([map_coordinates(channel, where, order=1, mode="reflect") for channel in np.moveaxis(pixels, 2, 0)], -1)


def _plasma(height: int, width: int, rng: Rng, decay: float) -> Pixels:
    """[H, W] in [0, 1]: a cloud, by midpoint displacement whose amplitude falls by ``decay`` an octave."""
    from scipy.ndimage import zoom

    size = 2 ** math.ceil(math.log2(max(height, width, 2)))
    made, amplitude, cells = np.zeros((size, size)), 1.0, 2
    while cells <= size:
        made += zoom(rng.uniform(-amplitude, amplitude, (cells, cells)), size / cells, order=1, mode="reflect", grid_mode=True)
        amplitude, cells = amplitude / decay, cells * 2
    made = made[:height, :width]
    return np.asarray((made - made.min()) / max(made.max() - made.min(), 1e-12))


def _channelwise(pixels: Pixels, change: Callable[[Any], Any]) -> Pixels:
    from PIL import Image

    return np.stack([np.asarray(change(Image.fromarray(channel.astype(np.float32)))) for channel in np.moveaxis(pixels, 2, 0)], -1)


class Corruption(NamedTuple):
    """``small`` and ``large``: the numbers of each severity, for small images and others."""

    apply: Callable[..., Pixels]
    small: tuple[Any, ...]
    large: tuple[Any, ...]


CORRUPTIONS = {
    "gaussian_noise": Corruption(_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": Corruption(_shot_noise, (500, 250, 100, 75, 50), (60, 25, 12, 5, 3)),
    "impulse_noise": Corruption(_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27)),
    "defocus_blur": Corruption(
        _defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)), ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
    ),
    "glass_blur": Corruption(
        _glass_blur, ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    ),
    "motion_blur": Corruption(_motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)), ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))),
    "zoom_blur": Corruption(
        _zoom_blur, ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    ),
    "snow": Corruption(
        _snow,
        ((0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9), (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
         (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85), (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8)),
        ((0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7), (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
         (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65), (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55)),
    ),
    "frost": Corruption(
        _frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)), ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
    ),
    "fog": Corruption(
        _fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)), ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))
    ),
    "brightness": Corruption(_brightness, (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Corruption(_contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "elastic_transform": Corruption(
        _elastic, ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
        ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)),
    ),
    "pixelate": Corruption(_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": Corruption(_jpeg, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
}  # fmt: skip
