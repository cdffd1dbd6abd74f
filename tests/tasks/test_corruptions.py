"""Fifteen corruptions: what each must do to an image, the task that asks about them, and its metrics by hand."""

from __future__ import annotations

import colorsys
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.metrics.corruption import KINDS, CorruptionError, MeanCorruptionError
from windtunnel.harness.suite.load import make_suite
from windtunnel.tasks.catalog import load_task
from windtunnel.tasks.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from windtunnel.tests.toys import made, records_of, row, run_plan, summarise

each_kind = pytest.mark.parametrize("kind", CORRUPTIONS)
MODEL = """
import numpy as np

def bright(images):
    means = np.array([np.mean(image) / (255 if image.dtype == np.uint8 else 1) for image in images])
    return np.stack([0.5 - means, means - 0.5], 1) * 8
"""
ROWS = """
import numpy as np

def rows():
    rng = np.random.default_rng(0)
    for index in range(4):
        yield {"image": rng.integers(40 + 90 * (index % 2), 130 + 90 * (index % 2), (16, 20, 3)).astype(np.uint8), "label": index % 2}
"""
TASK = {
    "family": "corrupted_images", "data": {"python": "rows.py:rows"}, "image": "image", "label": "label", "labels": ["dark", "bright"],
}  # fmt: skip


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    """A smooth scene with an edge."""
    down, across = np.mgrid[:height, :width]
    base = 0.35 + 0.2 * np.sin(down / 5) * np.cos(across / 7) + 0.25 * (across > width / 2)
    return np.repeat(base[:, :, None], channels, 2) * np.linspace(0.8, 1.0, channels)


def test_the_metrics_know_the_corruptions() -> None:
    assert tuple(CORRUPTIONS) == KINDS
    assert len(KINDS) == 15


@each_kind
@pytest.mark.parametrize("shape", [(32, 32, 3), (9, 14, 1), (70, 66, 3)])
def test_an_image_of_the_same_shape_in_steps_of_a_file(kind: str, shape: tuple[int, int, int]) -> None:
    image = picture(*shape)
    for severity in SEVERITIES:
        found, again = (corrupt(image, kind, severity, np.random.default_rng(3)) for _ in range(2))
        assert found.shape == shape
        assert found.min() >= 0
        assert found.max() <= 1
        np.testing.assert_allclose(found * 255, (found * 255).round(), atol=1e-9)
        np.testing.assert_array_equal(found, again)
        assert not np.array_equal(found, (image * 255).round() / 255)


@pytest.mark.parametrize(
    "kind", [k for k in CORRUPTIONS if k not in ("glass_blur", "elastic_transform", "snow", "frost", "fog", "motion_blur")]
)
@pytest.mark.parametrize("side", [32, 96])
def test_what_is_more_severe_changes_more(kind: str, side: int) -> None:
    image = picture(side, side)
    moved = [np.mean([np.abs(corrupt(image, kind, s, np.random.default_rng(n)) - image).mean() for n in range(4)]) for s in SEVERITIES]
    assert moved == sorted(moved)


def test_what_is_known_of_each() -> None:
    rng, image, grey = np.random.default_rng(0), picture(96, 96), np.full((96, 96, 3), 0.5)

    def made_of(kind: str, pixels: np.ndarray = grey) -> np.ndarray:
        return corrupt(pixels, kind, 3, rng)

    assert made_of("gaussian_noise").std() == pytest.approx(0.18, rel=0.05)
    assert made_of("shot_noise").std() == pytest.approx((0.5 / 12) ** 0.5, rel=0.1)
    assert np.mean(np.abs(made_of("impulse_noise") - 0.5) > 0.4) == pytest.approx(0.09, rel=0.1)
    for kind in ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "contrast", "elastic_transform", "pixelate", "jpeg_compression"):
        np.testing.assert_allclose(made_of(kind), grey, atol=0.01, err_msg=f"{kind} of one colour is that colour")
    for kind in ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "pixelate"):
        assert np.abs(np.diff(made_of(kind, image), axis=1)).max() <= np.abs(np.diff(image, axis=1)).max() + 0.01
    np.testing.assert_allclose(made_of("brightness", image * 0.5).max(2), (image * 0.5).max(2) + 0.3, atol=1 / 255)
    np.testing.assert_allclose(made_of("contrast", image).std((0, 1)), image.std((0, 1)) * 0.2, rtol=0.05)
    assert made_of("fog", image).std() < image.std()
    assert made_of("snow", image).mean() > image.mean()
    assert len(np.unique(made_of("pixelate", image)[0, :, 0])) <= 38


def _noisy(x: np.ndarray, spread: float) -> np.ndarray:
    return x + np.random.default_rng(3).normal(0, spread, x.shape)


def _flatter(x: np.ndarray, kept: float) -> np.ndarray:
    return np.stack([x[..., c].mean() + kept * (x[..., c] - x[..., c].mean()) for c in range(3)], -1)


def _brighter(x: np.ndarray, amount: float) -> np.ndarray:
    in_hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in x.reshape(-1, 3)]
    return np.array([colorsys.hsv_to_rgb(h, s, min(v + amount, 1)) for h, s, v in in_hsv]).reshape(x.shape)


def _defocused(x: np.ndarray, radius: float, smoothing: float) -> np.ndarray:
    """A disk under a Gaussian of 3 x 3, or 5 x 5 for the widest, over a picture mirrored at its edges; written with plain sums."""
    reach, wide = (8, 1) if radius <= 8 else (int(radius), 2)
    disk = np.array([[float(a * a + b * b <= radius**2) for b in range(-reach, reach + 1)] for a in range(-reach, reach + 1)])
    weights = np.exp(-(np.arange(-wide, wide + 1) ** 2) / (2 * smoothing**2))
    kernel = convolve2d(np.pad(disk / disk.sum(), wide, mode="reflect"), np.outer(weights, weights) / weights.sum() ** 2, mode="valid")
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    return np.stack([convolve2d(padded[..., c], kernel, mode="valid") for c in range(3)], -1)


def _pixelated(x: np.ndarray, share: float) -> np.ndarray:
    whole = Picture.fromarray((x * 255).round().astype(np.uint8))
    few = whole.resize((int(whole.width * share), int(whole.height * share)), Picture.Resampling.BOX)
    return np.asarray(few.resize(whole.size, Picture.Resampling.BOX)) / 255


def _through_jpeg(x: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Picture.fromarray((x * 255).round().astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Picture.open(file)) / 255


@pytest.mark.parametrize(("kind", "again", "small", "large"), [
    ("gaussian_noise", _noisy, [(0.04,), (0.06,), (0.08,), (0.09,), (0.10,)], [(0.08,), (0.12,), (0.18,), (0.26,), (0.38,)]),
    ("contrast", _flatter, [(0.75,), (0.5,), (0.4,), (0.3,), (0.15,)], [(0.4,), (0.3,), (0.2,), (0.1,), (0.05,)]),
    ("brightness", _brighter, [(0.05,), (0.1,), (0.15,), (0.2,), (0.3,)], [(0.1,), (0.2,), (0.3,), (0.4,), (0.5,)]),
    ("pixelate", _pixelated, [(0.95,), (0.9,), (0.85,), (0.75,), (0.65,)], [(0.6,), (0.5,), (0.4,), (0.3,), (0.25,)]),
    ("jpeg_compression", _through_jpeg, [(80,), (65,), (58,), (50,), (40,)], [(25,), (18,), (15,), (10,), (7,)]),
    ("defocus_blur", _defocused, [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
     [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)]),
])  # fmt: skip
@pytest.mark.parametrize("shape", [(32, 40), (70, 66)])
def test_each_byte_computed_again(kind: str, again: Any, small: Any, large: Any, shape: tuple[int, int]) -> None:
    """At the paper's severities, which are written down here a second time: CIFAR's for the small picture, ImageNet's for the other."""
    noise = np.random.default_rng(8).normal(0, 0.05, (*shape, 3))
    image = (np.clip(picture(*shape) + noise, 0, 1) * 255).round() / 255
    for severity, numbers in zip(SEVERITIES, small if min(shape) < 64 else large, strict=True):
        expected = np.floor(np.clip(again(image, *numbers), 0, 1) * 255 + 1e-6)
        np.testing.assert_array_equal((corrupt(image, kind, severity, np.random.default_rng(3)) * 255).round(), expected)


class TestTheirOwnDefinitions:
    """Each against what its authors' program computes, written out plainly."""

    def test_values_are_cut_down_to_bytes(self) -> None:
        found = corrupt(np.full((8, 8, 3), 100.9 / 255), "contrast", 1, np.random.default_rng(0))
        np.testing.assert_allclose(found * 255, 100)

    @pytest.mark.parametrize(("side", "severity"), [(20, 4), (70, 3), (70, 5)])
    def test_glass_goes_pixel_by_pixel(self, side: int, severity: int) -> None:
        corruption = CORRUPTIONS["glass_blur"]
        spread, most, rounds = (corruption.small if side < 64 else corruption.large)[severity - 1]
        image, rng = picture(side, side), np.random.default_rng(4)
        now = np.floor(gaussian_filter(image, (spread, spread, 0), mode="nearest") * 255 + 1e-6)
        for _ in range(rounds):
            steps = rng.integers(-most, most, (2, side * side)).reshape(2, side, side)
            for down in range(side - most, most, -1):
                for across in range(side - most, most, -1):
                    if down < side and across < side:
                        up, left = steps[:, down, across]
                        now[down, across] = now[min(down + up, side - 1), min(across + left, side - 1)]
        expected = gaussian_filter(now / 255, (spread, spread, 0), mode="nearest")
        np.testing.assert_allclose(corruption.apply(image, np.random.default_rng(4), spread, most, rounds), expected, atol=1e-12)

    def test_motion_takes_from_one_side_for_twice_the_radius(self) -> None:
        """A pixel at distance k weighs exp(-k^2 / (2 sigma^2)); the angle is within 45 degrees of the horizontal."""
        image = np.zeros((9, 61, 1))
        image[4, 50] = 1
        flat = CORRUPTIONS["motion_blur"].apply(image, _Fixed(0.0), 20, 15)[:, :, 0]
        weights = np.exp(-((np.arange(41) / 15) ** 2) / 2)
        expected = np.zeros((9, 61))
        expected[4, 10:51] = (weights / weights.sum())[::-1]
        np.testing.assert_allclose(flat, expected, atol=1e-12)
        tilted = CORRUPTIONS["motion_blur"].apply(image, _Fixed(45.0), 2, 50)[:, :, 0]
        assert [tuple(place) for place in np.argwhere(tilted > 0)] == [(1, 47), (2, 48), (3, 49), (4, 50)]

    def test_defocus_is_a_disk(self) -> None:
        image = np.zeros((41, 41, 1))
        image[20, 20] = 1
        found = CORRUPTIONS["defocus_blur"].apply(image, np.random.default_rng(0), 3, 0.1)[:, :, 0]
        down, across = np.mgrid[-20:21, -20:21]
        disk = down**2 + across**2 <= 9
        np.testing.assert_allclose(found, disk / disk.sum(), atol=1e-9)

    def test_brightness_is_in_hue_saturation_and_value(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (6, 5, 3)) / 255
        image[0, 0] = 0
        found = CORRUPTIONS["brightness"].apply(image, np.random.default_rng(0), 0.3)
        for place in np.ndindex(6, 5):
            hue, saturation, value = colorsys.rgb_to_hsv(*image[place])
            np.testing.assert_allclose(found[place], colorsys.hsv_to_rgb(hue, saturation, min(value + 0.3, 1)), atol=1e-12)

    def test_a_small_zoom_of_few_pixels_changes_nothing(self) -> None:
        """32 pixels / 1.01 are still 32: the first severity of small images blurs less than its numbers say."""
        image = np.random.default_rng(0).random((32, 32, 3))
        once = CORRUPTIONS["zoom_blur"].apply(image, np.random.default_rng(0), 1.015, 0.01)
        np.testing.assert_allclose(once, image, atol=1e-12)

    def test_fog_halves_its_steps_and_squares_its_decay(self) -> None:
        """Of a black and white image, what the fog adds: its differences at distance 1 beside those at distance 8."""
        image = np.zeros((32, 32, 1))
        image[0, 0] = 1
        clouds = [CORRUPTIONS["fog"].apply(image, np.random.default_rng(n), 1.0, 1.2)[1:, 1:, 0] * 2 for n in range(20)]
        assert all(cloud.min() >= 0 and cloud.max() <= 1 + 1e-12 for cloud in clouds)
        ratio = np.mean([np.abs(np.diff(c, axis=1)).mean() / np.abs(c[:, 8:] - c[:, :-8]).mean() for c in clouds])
        assert 0.4 < ratio < 0.53, "0.6 where the decay is not squared, 0.26 where it is twice"

    @pytest.mark.parametrize("side", [32, 224])
    def test_frost_is_as_bright_as_its_photographs(self, side: int) -> None:
        """Their mean colour is (0.57, 0.65, 0.70), 0.09 their standard deviation within a part of this size."""
        made = np.stack([CORRUPTIONS["frost"].apply(np.zeros((side, side, 3)), np.random.default_rng(n), 1, 1) for n in range(40)])
        np.testing.assert_allclose(made.mean((0, 1, 2)), [0.57, 0.65, 0.70], atol=0.05)
        np.testing.assert_allclose(made.std((1, 2)).mean(0), 0.09, atol=0.015)


class _Fixed(np.random.Generator):
    """Draws one number."""

    def __init__(self, value: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.value = value

    def uniform(self, *given: Any, **more: Any) -> Any:
        return self.value


def test_the_metrics_by_hand() -> None:
    errors = np.zeros((2, 15, 5))
    errors[0, 9] = 1
    errors[1, 9, 4] = 1
    found = CorruptionError().evaluate_columns({"corruption_errors": errors}, ())
    assert found["error[fog]"] == pytest.approx(6 / 10)
    assert found["error[fog 5]"] == 1
    assert found["error[fog 1]"] == 0.5
    assert found["mean_corruption_error_unnormalised"] == pytest.approx(6 / 150)
    weights = np.array([[2.0, 0.0], [1.0, 1.0]])
    again = CorruptionError().resampled(weights, {"corruption_errors": errors}, ())
    assert list(again) == list(found)
    np.testing.assert_allclose(again["error[fog]"], [1, 6 / 10])
    assert MeanCorruptionError().evaluate_columns({"error_over_baseline": np.array([0.5, 1.5])}, ()) == {"mce": 1.0}


def test_a_run(tmp_path: Path) -> None:
    """Every number is the plain loop's over the records' own errors."""
    for name, text in (("model.py", MODEL), ("rows.py", ROWS), ("pictures.yaml", yaml.safe_dump(TASK))):
        (tmp_path / name).write_text(text)
    baseline = {kind: 0.5 + i for i, kind in enumerate(CORRUPTIONS)}
    models = [{"model": "callable:model.py:bright", "name": "m", "input": "image", "labels": ["dark", "bright"]}]
    tasks = [{"task": "pictures.yaml"}, {"task": "pictures.yaml", "name": "over", "baseline": baseline}]
    run_plan(made(make_suite({"models": models, "tasks": tasks, "chunk": 3}, base=tmp_path)), tmp_path / "run")
    card = summarise(tmp_path / "run")
    assert card.num_failed == 0
    records = records_of(tmp_path / "run")["m/pictures"]
    errors = np.array([r.artifacts["corruption_errors"] for r in records])
    assert errors.shape == (4, 15, 5)
    assert 0 < errors.mean() < 1
    mean = row(card, "pictures", "mean_corruption_error_unnormalised")
    assert mean.estimate.value == pytest.approx(errors.mean())
    assert mean.higher_is_better is False
    for index, kind in enumerate(CORRUPTIONS):
        assert row(card, "pictures", f"error[{kind} 5]").estimate.value == pytest.approx(errors[:, index, 4].mean())
    ratio = np.mean([errors[:, i].mean(0).sum() / baseline[kind] for i, kind in enumerate(CORRUPTIONS)])
    assert row(card, "over", "mce").estimate.value == pytest.approx(ratio)
    assert row(card, "pictures", "accuracy").estimate.n == 4


@pytest.mark.parametrize("baseline", [{"fogg": 1.0}, {"fog": 1.0}, dict.fromkeys(CORRUPTIONS, 0.0)])
def test_a_baseline_that_is_none(tmp_path: Path, baseline: dict[str, float]) -> None:
    (tmp_path / "pictures.yaml").write_text(yaml.safe_dump(TASK))
    with pytest.raises(ConfigError, match="baseline"):
        load_task(str(tmp_path / "pictures.yaml"), baseline=baseline)
