"""Pictures and sounds of a page: how they are encoded, and which are whole under a budget."""

from __future__ import annotations

import base64
import io
from unittest import mock

import numpy as np
import PIL.Image
import pytest
from windtunnel.harness.api.scorecard import Heat, SampleView, Shown, Twin
from windtunnel.harness.modalities.audio import Audio, encode_wav
from windtunnel.harness.modalities.image import Image
from windtunnel.reports import media
from windtunnel.reports.media import INLINE_BYTES, THUMBNAIL_PX, Media, encode_png
from windtunnel.reports.sample_pack import pack_samples
from windtunnel.tests.pages import Held, unpack

ROOMY = 10_000_000


def photo(seed: int) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 256, (160, 200, 3)).astype(np.uint8))


def pictured(i: int, model: str = "m") -> SampleView:
    """A sample whose answer is wrong if ``i`` is odd. It is attacked twice, and explained."""
    twins = tuple(Twin(name, Shown("image", image=photo(1_000 + i)), "b", None) for name in ("noise", "more noise"))
    heat = Heat("occlusion", "a", (1.0,) * 4, shape=(2, 2), image=photo(2_000 + i))
    return SampleView(model, "photos", f"p{i}", Shown("image", image=photo(i)), "a", "a", i % 2 == 0, twins=twins, heats=(heat,))


def pack(*samples: SampleView, budget: int = ROOMY) -> Held:
    return unpack(pack_samples(samples, budget))


def decode(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(data))))


class TestPng:
    @pytest.mark.parametrize("shape", [(96, 100, 3), (5, 7, 3), (1, 1, 3), (8, 8, 1), (120, 3, 4)])
    @pytest.mark.parametrize("kind", ["uint8", "float32"])
    def test_the_same_pixels_come_back(self, shape: tuple[int, int, int], kind: str) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        shown = decode(encode_png(Image(pixels if kind == "uint8" else (pixels / 255).astype(np.float32))))
        factor = max(1, -(-96 // max(shape[:2])))
        assert max(shown.shape[:2]) >= 96
        np.testing.assert_array_equal(shown[::factor, ::factor].reshape(shape), pixels)

    def test_a_photograph_is_made_smaller(self) -> None:
        assert decode(encode_png(Image(np.zeros((1000, 2000, 3), np.uint8)))).shape == (256, 512, 3)

    def test_a_photograph_is_smaller_than_with_a_search_for_repetitions(self) -> None:
        draws = np.random.default_rng(0)
        smooth = PIL.Image.fromarray(draws.integers(0, 256, (9, 12, 3)).astype(np.uint8)).resize((200, 150), PIL.Image.Resampling.BICUBIC)
        grainy = (np.asarray(smooth) * 0.9 + draws.uniform(0, 10, (150, 200, 3))).astype(np.uint8)
        uri, searched = encode_png(Image(grainy)), io.BytesIO()
        PIL.Image.fromarray(grainy).save(searched, format="PNG")
        assert len(base64.b64decode(uri.partition(",")[2])) < len(searched.getvalue())


class TestSamples:
    def test_a_small_picture_stands_in_its_sample(self) -> None:
        small = Image(np.zeros((8, 8, 3), np.uint8))
        view = SampleView("m", "t", "1", Shown("image", image=small), None, None, None)
        held = pack(view)
        assert held.drawn[0]["input"]["image"] == encode_png(small)
        assert not held.media

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_a_large_one_is_a_thumbnail_and_whole_while_there_is_room(self, channels: int) -> None:
        image = Image(np.random.default_rng(0).uniform(0, 1, (160, 200, channels)))
        held = pack(SampleView("m", "t", "1", Shown("image", image=image), None, None, None))
        drawn = held.drawn[0]["input"]["image"]
        assert held.media[drawn["whole"]] == encode_png(image)
        head, _, data = drawn["small"].partition(",")
        assert head == "data:image/jpeg;base64"
        assert PIL.Image.open(io.BytesIO(base64.b64decode(data))).size == (THUMBNAIL_PX, round(160 * THUMBNAIL_PX / 200))

    def test_under_a_budget_the_samples_stay_and_the_most_needed_have_whole_ones(self) -> None:
        samples = [pictured(i) for i in range(12)]
        everything = len(pack_samples(samples, ROOMY))
        lines = pack_samples(samples, everything // 2)
        held = unpack(lines)
        assert len(lines) <= everything // 2
        assert len(held.drawn) == 12
        whole = [drawn["input"]["image"]["whole"] in held.media for drawn in held.drawn]
        assert whole[:4] == [True] * 4
        assert not any(whole[6:]), "right answers come last"

    def test_each_picture_is_encoded_once(self) -> None:
        """Two models see the same photographs, and two attacks make the same of one."""
        samples = [pictured(i, model) for model in ("m", "n") for i in range(4)]
        with mock.patch.object(media, "encode_png", wraps=encode_png) as encode:
            held = pack(*samples)
        assert encode.call_count == len(held.media) == 4 * 3
        assert len(set(held.media.values())) == 4 * 3

    def test_what_does_not_fit_is_not_encoded(self) -> None:
        """Samples in the order of the data take turns by class: of alike ones the first are shown."""
        samples = [pictured(i) for i in range(0, 60, 2)]
        one = len(encode_png(photo(0)))
        with mock.patch.object(media, "encode_png", wraps=encode_png) as encode:
            held = pack(*samples, budget=one * 8)
        assert len(held.drawn) == 30
        assert 1 <= len(held.media) <= encode.call_count <= 8 + 1

    def test_a_sound_has_no_thumbnail(self) -> None:
        sound = encode_wav(Audio(np.random.default_rng(0).uniform(-1, 1, 8_000).astype(np.float32), 8_000))
        short = encode_wav(Audio(np.zeros(80, np.float32), 8_000))
        assert len(short) < INLINE_BYTES < len(sound)
        held = pack(*(SampleView("m", "t", uri[-9:], Shown("audio", audio=uri), None, None, None) for uri in (sound, short)))
        assert [drawn["input"]["audio"] for drawn in held.drawn] == [{"small": "", "whole": 0}, short]
        assert held.media == {0: sound}


@pytest.mark.parametrize(("later", "kept"), [({}, [1, 0]), ({2: 1, 0: 2}, [2, 0])])
def test_a_picture_that_is_needed_more_later_takes_the_place_of_others(later: dict[int, int], kept: list[int]) -> None:
    size = len(encode_png(photo(0)))
    made = Media(2 * size - 100)
    for number, need in [*enumerate((5, 4, 6)), *later.items()]:
        assert made.add(photo(number), (need,)) == {"small": mock.ANY, "whole": number}
    assert made.write(ROOMY) == (kept, [encode_png(photo(number)) for number in kept])
    assert made.write(size + 100)[0] == kept[:1]
