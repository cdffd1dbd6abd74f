"""Corrupt images in fifteen ways at five severities (Hendrycks & Dietterich 2019, arXiv:1903.12261).

Severities are those of the paper: CIFAR's for images whose shorter side is below 64 pixels, ImageNet's for
others. Every function takes pixels, float [H, W, C] in [0, 1], a generator and the parameters of its
severity. It returns pixels that may leave [0, 1]; `corrupt` truncates them to 256 steps, as the paper's
program does. Edges are mirrored or repeated as there. Only frost differs: it is generated from noise instead
of photographs of frost.
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
_ELASTIC_SCALE = 244 / 224
"""The paper's program uses shares of 244 pixels for images of 224."""


def corrupt(pixels: Pixels, kind: str, severity: int, rng: Rng, /) -> Pixels:
    """Corrupt pixels; returns the same shape, in [0, 1], in steps of 1/255."""
    corruption = CORRUPTIONS[kind]
    settings = (corruption.small if min(pixels.shape[:2]) < _SMALL else corruption.large)[severity - 1]
    parameters = settings if isinstance(settings, tuple) else (settings,)
    return _quantise(corruption.apply(np.asarray(pixels, dtype=np.float64), rng, *parameters))


def _quantise(pixels: Pixels) -> Pixels:
    """Truncate to steps of 1/255, with a tolerance for rounding just below a step."""
    return np.asarray(np.floor(np.clip(pixels, 0, 1) * 255 + 1e-6) / 255)


# ── noise ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _add_gaussian_noise(pixels: Pixels, rng: Rng, spread: float) -> Pixels:
    return pixels + rng.normal(0, spread, pixels.shape)


def _add_shot_noise(pixels: Pixels, rng: Rng, photons: float) -> Pixels:
    return rng.poisson(pixels * photons) / photons


def _add_impulse_noise(pixels: Pixels, rng: Rng, share: float) -> Pixels:
    """Set this share of values to black or white with equal probability."""
    return np.where(rng.random(pixels.shape) < share, rng.integers(0, 2, pixels.shape).astype(np.float64), pixels)


# ── blur ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _blur_defocus(pixels: Pixels, rng: Rng, radius: float, smoothing: float) -> Pixels:
    from scipy.ndimage import convolve

    reach, smoothed = (8, 1) if radius <= 8 else (math.ceil(radius), 2)
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (down**2 + across**2 <= radius**2).astype(np.float64)
    kernel = _smooth(disk / disk.sum(), smoothing, mode="mirror", radius=smoothed)
    return np.stack([convolve(channel, kernel, mode="mirror") for channel in np.moveaxis(pixels, 2, 0)], -1)


def _blur_glass(pixels: Pixels, rng: Rng, spread: float, most: int, rounds: int) -> Pixels:
    """Copy random neighbours, from the last pixel to the first. The paper's program intends to swap pixels,
    but copies them. Pixels near two of the edges stay unchanged."""
    blurred = _quantise(_smooth(pixels, spread, mode="nearest"))
    height, width = pixels.shape[:2]
    places = np.arange(height * width)
    down, across = np.divmod(places, width)
    moves = (down > most) & (down <= height - most) & (across > most) & (across <= width - most)
    for _ in range(rounds):
        steps = rng.integers(-most, most, (2, height * width)) * moves
        source = np.clip(down + steps[0], 0, height - 1) * width + np.clip(across + steps[1], 0, width - 1)
        # An earlier neighbour is itself a copy; pointer doubling finds its source.
        is_copy = (source > places) & moves[source]
        while is_copy.any():
            source, is_copy = np.where(is_copy, source[source], source), is_copy & is_copy[source]
        blurred = blurred.reshape(height * width, -1)[source].reshape(pixels.shape)
    return _smooth(blurred, spread, mode="nearest")


def _blur_motion(pixels: Pixels, rng: Rng, radius: float, spread: float) -> Pixels:
    return _streak(pixels, radius, spread, rng.uniform(-45, 45))


def _blur_zoom(pixels: Pixels, rng: Rng, largest: float, step: float) -> Pixels:
    zooms = np.arange(1, largest, step)
    return (pixels + sum(_zoom(pixels, zoom) for zoom in zooms)) / (len(zooms) + 1)


# ── weather ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _add_snow(
    pixels: Pixels, rng: Rng, mean: float, spread: float, zoom: float, threshold: float, radius: float, streak: float, kept: float
) -> Pixels:
    flakes = _zoom(rng.normal(mean, spread, (*pixels.shape[:2], 1)), zoom)
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)
    falling = _streak(flakes, radius, streak, rng.uniform(-135, -45))
    whitened = np.maximum(pixels, _to_grey(pixels) * 1.5 + 0.5)
    return np.asarray(kept * pixels + (1 - kept) * whitened + falling + falling[::-1, ::-1])


def _add_frost(pixels: Pixels, rng: Rng, kept: float, cover: float) -> Pixels:
    """Blend in ice: rough ridges where two noise fields meet, with the mean brightness, unevenness and tint
    of the paper's photographs."""
    height, width = pixels.shape[:2]
    bright = rng.uniform(0.42, 0.86)
    fields = [_generate_plasma(height, width, rng, 1.1) for _ in range(2)]
    apart = np.abs(fields[0] - fields[1])
    ridges = (apart.mean() - apart) / max(float(apart.std()), 1e-12)
    tint = np.array([0.89, 1.02, 1.09]) if pixels.shape[2] == 3 else np.ones(pixels.shape[2])
    ice = np.clip((bright + 0.09 * ridges)[:, :, None] * tint, 0, 1)
    return np.asarray(kept * pixels + cover * ice)


def _add_fog(pixels: Pixels, rng: Rng, thickness: float, decay: float) -> Pixels:
    height, width = pixels.shape[:2]
    brightest = float(pixels.max())
    fogged = pixels + thickness * _generate_plasma(height, width, rng, decay)[:, :, None]
    return fogged * brightest / (brightest + thickness)


def _change_brightness(pixels: Pixels, rng: Rng, amount: float) -> Pixels:
    """Increase the value in hue, saturation and value: scale all channels so that the largest grows by the
    amount."""
    value = pixels.max(2, keepdims=True)
    brighter = np.clip(value + amount, 0, 1)
    return np.asarray(np.where(value > 0, pixels * brighter / np.maximum(value, 1e-12), brighter))


# ── digital ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _change_contrast(pixels: Pixels, rng: Rng, kept: float) -> Pixels:
    mean = pixels.mean((0, 1), keepdims=True)
    return np.asarray((pixels - mean) * kept + mean)


def _transform_elastic(pixels: Pixels, rng: Rng, strength: float, smoothness: float, shear: float) -> Pixels:
    """Apply an affine map and a smooth random displacement. All three parameters are shares of the image's
    side."""
    height, width = pixels.shape[:2]
    side, centre = min(height, width), np.array([height, width]) // 2
    corners = np.array([[1, 1], [1, -1], [-1, -1]]) * (side // 3) + centre
    moved = corners + rng.uniform(-shear * side, shear * side, corners.shape)
    # The affine map from the moved corners to the original ones.
    affine = np.linalg.solve(np.column_stack([moved, np.ones(3)]), corners)
    places = np.moveaxis(np.mgrid[:height, :width], 0, -1)
    mapped = _sample_at(pixels, np.concatenate([places, np.ones((height, width, 1))], -1) @ affine, mode="mirror")
    noise = [rng.uniform(-1, 1, (height, width)) for _ in range(2)]
    drift = [_smooth(field, smoothness * side, mode="reflect", truncate=3) * strength * side for field in noise]
    return _sample_at(mapped, places + np.stack(drift, -1), mode="reflect")


def _make_pixelated(pixels: Pixels, rng: Rng, share: float) -> Pixels:
    from PIL import Image

    height, width = pixels.shape[:2]
    few = max(int(width * share), 1), max(int(height * share), 1)
    box = Image.Resampling.BOX
    channels = [Image.fromarray(channel).resize(few, box).resize((width, height), box) for channel in np.moveaxis(_to_bytes(pixels), 2, 0)]
    return np.stack([np.asarray(channel) for channel in channels], -1) / 255


def _compress_jpeg(pixels: Pixels, rng: Rng, quality: int) -> Pixels:
    from PIL import Image

    eight_bits, file = _to_bytes(pixels), io.BytesIO()
    Image.fromarray(eight_bits if eight_bits.shape[2] == 3 else eight_bits[:, :, 0]).save(file, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(file), dtype=np.float64) / 255
    return decoded if decoded.ndim == 3 else np.repeat(decoded[:, :, None], pixels.shape[2], 2)


# ── shared operations ─────────────────────────────────────────────────────────────────────────────────────────────


def _to_bytes(pixels: Pixels) -> NDArray[np.uint8]:
    return np.asarray((pixels * 255).round().astype(np.uint8))


def _to_grey(pixels: Pixels) -> Pixels:
    """Return the luma of an image, [H, W, 1]."""
    return np.asarray(pixels @ np.array([[0.299], [0.587], [0.114]]) if pixels.shape[2] == 3 else pixels.mean(2, keepdims=True))


def _smooth(values: Pixels, spread: float, *, mode: str, **reach: Any) -> Pixels:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, (spread, spread, 0)[: values.ndim], mode=mode, **reach))


def _sample_at(pixels: Pixels, places: Pixels, *, mode: str) -> Pixels:
    """Sample each pixel at its position in places [H, W, 2], with linear interpolation."""
    from scipy.ndimage import map_coordinates

    where = np.moveaxis(places, 2, 0)
    return np.stack([map_coordinates(channel, where, order=1, mode=mode) for channel in np.moveaxis(pixels, 2, 0)], -1)


def _streak(pixels: Pixels, radius: float, spread: float, degrees: float) -> Pixels:
    """Average each pixel along a line to one side, of twice the radius, with Gaussian weights."""
    height, width = pixels.shape[:2]
    reach, angle = 2 * math.ceil(radius), math.radians(degrees)
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    weights = np.exp(-((np.arange(reach + 1) / spread) ** 2) / 2)
    blurred = np.zeros_like(pixels)
    for step, weight in enumerate(weights / weights.sum()):
        down, across = (reach + math.ceil(step * part - 0.5) for part in (math.sin(angle), math.cos(angle)))
        blurred += weight * padded[down : down + height, across : across + width]
    return blurred


def _zoom(pixels: Pixels, factor: float) -> Pixels:
    """Enlarge the centre to the whole image. The crop has whole pixels, so a small factor may change nothing."""
    from scipy.ndimage import zoom

    for axis in (0, 1):
        size = pixels.shape[axis]
        few = math.ceil(size / factor)
        middle = np.moveaxis(pixels, axis, 0)[(size - few) // 2 :][:few]
        enlarged = zoom(middle, (factor, 1, 1), order=1)
        pixels = np.moveaxis(enlarged[(len(enlarged) - size) // 2 :][:size], 0, axis)
    return pixels


def _generate_plasma(height: int, width: int, rng: Rng, decay: float) -> Pixels:
    """Generate a cloud [H, W] in [0, 1] by the diamond-square algorithm on a torus; the amplitude falls by
    ``decay`` squared per halved step."""
    size = 2 ** math.ceil(math.log2(max(height, width, 2)))
    cloud, amplitude, step = np.zeros((size, size)), 1.0, size
    while step > 1:
        half = step // 2

        def displace(around: Pixels, most: float = amplitude) -> Pixels:
            return around / 4 + rng.uniform(-most, most, around.shape)

        corners = cloud[::step, ::step]
        sides = corners + np.roll(corners, -1, 0)
        middles = cloud[half::step, half::step] = displace(sides + np.roll(sides, -1, 1))
        cloud[::step, half::step] = displace(middles + np.roll(middles, 1, 0) + corners + np.roll(corners, -1, 1))
        cloud[half::step, ::step] = displace(middles + np.roll(middles, 1, 1) + corners + np.roll(corners, -1, 0))
        amplitude, step = amplitude / decay**2, half
    cloud -= cloud.min()
    return np.asarray((cloud / max(cloud.max(), 1e-12))[:height, :width])


class Corruption(NamedTuple):
    """A corruption with its parameters at each severity, for small and for large images."""

    apply: Callable[..., Pixels]
    small: tuple[Any, ...]
    large: tuple[Any, ...]


CORRUPTIONS = {
    "gaussian_noise": Corruption(_add_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": Corruption(_add_shot_noise, (500, 250, 100, 75, 50), (60, 25, 12, 5, 3)),
    "impulse_noise": Corruption(_add_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27)),
    "defocus_blur": Corruption(
        _blur_defocus, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)), ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
    ),
    "glass_blur": Corruption(
        _blur_glass, ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    ),
    "motion_blur": Corruption(_blur_motion, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)), ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))),
    "zoom_blur": Corruption(
        _blur_zoom, ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    ),
    "snow": Corruption(
        _add_snow,
        ((0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9), (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
         (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85), (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8)),
        ((0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7), (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
         (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65), (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55)),
    ),
    "frost": Corruption(
        _add_frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
    ),
    "fog": Corruption(
        _add_fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)), ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))
    ),
    "brightness": Corruption(_change_brightness, (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Corruption(_change_contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "elastic_transform": Corruption(
        _transform_elastic, ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
        tuple(
            tuple(_ELASTIC_SCALE * share for share in shares)
            for shares in ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
        ),
    ),
    "pixelate": Corruption(_make_pixelated, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": Corruption(_compress_jpeg, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
}  # fmt: skip
