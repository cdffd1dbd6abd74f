"""Fifteen common corruptions of an image at five severities (Hendrycks & Dietterich 2019, arXiv:1903.12261).

Severities are the paper's: its CIFAR ones for images whose shorter side is below 64 pixels, its ImageNet ones for others. Every function
takes pixels, float [H, W, C] in [0, 1], its severity's numbers and a generator, and gives pixels that may leave [0, 1]: `corrupted` cuts
them to the 256 steps of a file, downwards, as the paper's program does. Edges, too, are mirrored or repeated where its are. Frost
alone differs from it: it is grown from noise in place of photographs of frost.
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
_SLIP = 244 / 224
"""The paper's program takes shares of 244 pixels, of images that have 224."""


def corrupted(pixels: Pixels, kind: str, severity: int, rng: Rng, /) -> Pixels:
    """Of the same shape, in [0, 1], in steps of 1/255."""
    corruption = CORRUPTIONS[kind]
    settings = (corruption.small if min(pixels.shape[:2]) < _SMALL else corruption.large)[severity - 1]
    given = settings if isinstance(settings, tuple) else (settings,)
    return _cut(corruption.apply(np.asarray(pixels, dtype=np.float64), rng, *given))


def _cut(pixels: Pixels) -> Pixels:
    """Down to steps of 1/255, but not by one for what rounding left just below a step."""
    return np.asarray(np.floor(np.clip(pixels, 0, 1) * 255 + 1e-6) / 255)


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
    from scipy.ndimage import convolve

    reach, smoothed = (8, 1) if radius <= 8 else (math.ceil(radius), 2)
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (down**2 + across**2 <= radius**2).astype(np.float64)
    kernel = _smoothed(disk / disk.sum(), smoothing, mode="mirror", radius=smoothed)
    return np.stack([convolve(channel, kernel, mode="mirror") for channel in np.moveaxis(pixels, 2, 0)], -1)


def _glass_blur(pixels: Pixels, rng: Rng, spread: float, most: int, rounds: int) -> Pixels:
    """From the last pixel to the first, each becomes a copy of a random neighbour: the paper's program means to swap them, and does this.
    It leaves those near two of the edges as they are."""
    blurred = _cut(_smoothed(pixels, spread, mode="nearest"))
    height, width = pixels.shape[:2]
    places = np.arange(height * width)
    down, across = np.divmod(places, width)
    moves = (down > most) & (down <= height - most) & (across > most) & (across <= width - most)
    for _ in range(rounds):
        steps = rng.integers(-most, most, (2, height * width)) * moves
        source = np.clip(down + steps[0], 0, height - 1) * width + np.clip(across + steps[1], 0, width - 1)
        # A neighbour that was reached before is a copy itself: what of, is looked up in half as many steps each time.
        is_copy = (source > places) & moves[source]
        while is_copy.any():
            source, is_copy = np.where(is_copy, source[source], source), is_copy & is_copy[source]
        blurred = blurred.reshape(height * width, -1)[source].reshape(pixels.shape)
    return _smoothed(blurred, spread, mode="nearest")


def _motion_blur(pixels: Pixels, rng: Rng, radius: float, spread: float) -> Pixels:
    return _streaked(pixels, radius, spread, rng.uniform(-45, 45))


def _zoom_blur(pixels: Pixels, rng: Rng, largest: float, step: float) -> Pixels:
    zooms = np.arange(1, largest, step)
    return (pixels + sum(_zoomed(pixels, zoom) for zoom in zooms)) / (len(zooms) + 1)


# ── weather ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _snow(
    pixels: Pixels, rng: Rng, mean: float, spread: float, zoom: float, threshold: float, radius: float, streak: float, kept: float
) -> Pixels:
    flakes = _zoomed(rng.normal(mean, spread, (*pixels.shape[:2], 1)), zoom)
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)
    falling = _streaked(flakes, radius, streak, rng.uniform(-135, -45))
    whitened = np.maximum(pixels, _grey(pixels) * 1.5 + 0.5)
    return np.asarray(kept * pixels + (1 - kept) * whitened + falling + falling[::-1, ::-1])


def _frost(pixels: Pixels, rng: Rng, kept: float, cover: float) -> Pixels:
    """Ice on a window: rough ridges where two fields of noise meet. Its brightness, unevenness and blue are those of the paper's
    photographs of frost, on average."""
    height, width = pixels.shape[:2]
    bright = rng.uniform(0.42, 0.86)
    fields = [_plasma(height, width, rng, 1.1) for _ in range(2)]
    apart = np.abs(fields[0] - fields[1])
    ridges = (apart.mean() - apart) / max(float(apart.std()), 1e-12)
    tint = np.array([0.89, 1.02, 1.09]) if pixels.shape[2] == 3 else np.ones(pixels.shape[2])
    ice = np.clip((bright + 0.09 * ridges)[:, :, None] * tint, 0, 1)
    return np.asarray(kept * pixels + cover * ice)


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
    """An affine map, then a smooth random displacement. All three are shares of the image's side."""
    height, width = pixels.shape[:2]
    side, centre = min(height, width), np.array([height, width]) // 2
    corners = np.array([[1, 1], [1, -1], [-1, -1]]) * (side // 3) + centre
    moved = corners + rng.uniform(-shear * side, shear * side, corners.shape)
    # The affine map that takes the moved corners back to where they were.
    affine = np.linalg.solve(np.column_stack([moved, np.ones(3)]), corners)
    places = np.moveaxis(np.mgrid[:height, :width], 0, -1)
    mapped = _taken(pixels, np.concatenate([places, np.ones((height, width, 1))], -1) @ affine, mode="mirror")
    drawn = [rng.uniform(-1, 1, (height, width)) for _ in range(2)]
    drift = [_smoothed(one, smoothness * side, mode="reflect", truncate=3) * strength * side for one in drawn]
    return _taken(mapped, places + np.stack(drift, -1), mode="reflect")


def _pixelate(pixels: Pixels, rng: Rng, share: float) -> Pixels:
    from PIL import Image

    height, width = pixels.shape[:2]
    few = max(int(width * share), 1), max(int(height * share), 1)
    box = Image.Resampling.BOX
    channels = [Image.fromarray(one).resize(few, box).resize((width, height), box) for one in np.moveaxis(_bytes(pixels), 2, 0)]
    return np.stack([np.asarray(one) for one in channels], -1) / 255


def _jpeg(pixels: Pixels, rng: Rng, quality: int) -> Pixels:
    from PIL import Image

    eight_bits, file = _bytes(pixels), io.BytesIO()
    Image.fromarray(eight_bits if eight_bits.shape[2] == 3 else eight_bits[:, :, 0]).save(file, "JPEG", quality=quality)
    made = np.asarray(Image.open(file), dtype=np.float64) / 255
    return made if made.ndim == 3 else np.repeat(made[:, :, None], pixels.shape[2], 2)


# ── what they are made of ─────────────────────────────────────────────────────────────────────────────────────────────


def _bytes(pixels: Pixels) -> NDArray[np.uint8]:
    return np.asarray((pixels * 255).round().astype(np.uint8))


def _grey(pixels: Pixels) -> Pixels:
    """[H, W, 1]: the luma of a picture in colours."""
    return np.asarray(pixels @ np.array([[0.299], [0.587], [0.114]]) if pixels.shape[2] == 3 else pixels.mean(2, keepdims=True))


def _smoothed(values: Pixels, spread: float, *, mode: str, **reach: Any) -> Pixels:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, (spread, spread, 0)[: values.ndim], mode=mode, **reach))


def _taken(pixels: Pixels, places: Pixels, *, mode: str) -> Pixels:
    """Each pixel from its place [H, W, 2], between pixels."""
    from scipy.ndimage import map_coordinates

    where = np.moveaxis(places, 2, 0)
    return np.stack([map_coordinates(channel, where, order=1, mode=mode) for channel in np.moveaxis(pixels, 2, 0)], -1)


def _streaked(pixels: Pixels, radius: float, spread: float, degrees: float) -> Pixels:
    """Each pixel is a mean over a line from itself to one side, twice the radius long, whose weights fade as a Gaussian does."""
    height, width = pixels.shape[:2]
    reach, angle = 2 * math.ceil(radius), math.radians(degrees)
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    weights = np.exp(-((np.arange(reach + 1) / spread) ** 2) / 2)
    made = np.zeros_like(pixels)
    for step, weight in enumerate(weights / weights.sum()):
        down, across = (reach + math.ceil(step * part - 0.5) for part in (math.sin(angle), math.cos(angle)))
        made += weight * padded[down : down + height, across : across + width]
    return made


def _zoomed(pixels: Pixels, factor: float) -> Pixels:
    """The middle, enlarged to the whole: cut out in whole pixels, so that a small factor may change nothing."""
    from scipy.ndimage import zoom

    for axis in (0, 1):
        size = pixels.shape[axis]
        few = math.ceil(size / factor)
        middle = np.moveaxis(pixels, axis, 0)[(size - few) // 2 :][:few]
        enlarged = zoom(middle, (factor, 1, 1), order=1)
        pixels = np.moveaxis(enlarged[(len(enlarged) - size) // 2 :][:size], 0, axis)
    return pixels


def _plasma(height: int, width: int, rng: Rng, decay: float) -> Pixels:
    """[H, W] in [0, 1]: a cloud, by midpoint displacement on a torus (diamonds and squares), whose amplitude falls by ``decay`` squared
    whenever its step is halved."""
    size = 2 ** math.ceil(math.log2(max(height, width, 2)))
    made, amplitude, step = np.zeros((size, size)), 1.0, size
    while step > 1:
        half = step // 2

        def displaced(around: Pixels, most: float = amplitude) -> Pixels:
            return around / 4 + rng.uniform(-most, most, around.shape)

        corners = made[::step, ::step]
        sides = corners + np.roll(corners, -1, 0)
        middles = made[half::step, half::step] = displaced(sides + np.roll(sides, -1, 1))
        made[::step, half::step] = displaced(middles + np.roll(middles, 1, 0) + corners + np.roll(corners, -1, 1))
        made[half::step, ::step] = displaced(middles + np.roll(middles, 1, 1) + corners + np.roll(corners, -1, 0))
        amplitude, step = amplitude / decay**2, half
    made -= made.min()
    return np.asarray((made / max(made.max(), 1e-12))[:height, :width])


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
        tuple(
            tuple(_SLIP * share for share in shares)
            for shares in ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
        ),
    ),
    "pixelate": Corruption(_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": Corruption(_jpeg, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
}  # fmt: skip
