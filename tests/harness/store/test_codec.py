"""Facts to JSON and back, exactly, whatever is in them."""

from __future__ import annotations

import collections
import enum
import json
import math
import types
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from windtunnel.harness.api.requests import Classify, Generate
from windtunnel.harness.api.responses import Completion, Failure, Logits
from windtunnel.harness.api.samples import Attribution, Record, Sample
from windtunnel.harness.modalities.audio import Audio
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.inputs import measure_size, name_modality
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.store import codec

quick = settings(deadline=None, max_examples=150)
anything = st.characters(exclude_categories=())
texts = st.one_of(st.text(anything, max_size=8), st.text("\ud83d\ude00$x", max_size=6))
keys = st.one_of(texts, st.sampled_from(["$type", "$float", "$array", "$map", "$$type", "$", "$text", "$image"]), st.integers(-3, 3))
floats = st.floats(allow_nan=True, allow_infinity=True)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), floats, texts)
values = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner, max_size=4).map(tuple), st.dictionaries(keys, inner, max_size=4)), max_leaves=12
)


def same(a: Any, b: Any) -> bool:
    """Equal in type, content and sign of zero, with NaN equal to NaN."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return type(b) is float and ((math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b)))
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and {(type(k), k) for k in a} == {(type(k), k) for k in b} and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


@quick
@given(values)
def test_values_come_back_exactly(value: Any) -> None:
    text = codec.dumps(value)
    assert text.isascii()
    json.loads(text)
    assert same(value, codec.loads(text))
    assert codec.dumps(codec.loads(text)) == text


@quick
@given(npst.arrays(st.sampled_from(["<f4", ">f8", "<f2", "|u1", "<i8", "?", "<U3", "<c8"]), npst.array_shapes(min_dims=0, min_side=0)))
def test_arrays_come_back_exactly(array: np.ndarray[Any, Any]) -> None:
    assert same(array, codec.loads(codec.dumps({"a": array}))["a"])
    assert same(array, codec.loads(codec.dumps({"a": array.T}))["a"].T)


@quick
@given(values, values)
def test_different_values_have_different_digests(a: Any, b: Any) -> None:
    assert same(a, b) == (codec.digest(a) == codec.digest(b))


@quick
@given(st.dictionaries(keys, leaves, min_size=2, max_size=5))
def test_the_digest_does_not_depend_on_insertion_order(mapping: dict[Any, Any]) -> None:
    assert codec.digest(mapping) == codec.digest(dict(reversed(mapping.items())))


def test_facts_come_back_as_their_types() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    facts = [
        TextPair("a", "\udfff"), Chat((Message("user", "hi"),)), Image(pixels), Image(pixels / np.float32(255)),
        Audio(np.linspace(-1, 1, 5), 16_000), Classify(Image(pixels), ("a", "b")), Generate(Chat((Message("u", "$type"),)), 3, ("\n",)),
        Logits((0.1, -0.0)), Completion("x", 1, "stop"), Failure("ValueError: $"),
        Sample("1", "text", 3, ("a",), "g", {"$type": "Sample", "n": {"deep": (1, 2)}}),
        Record("1", "item", {"acc": None}, "error", {"twin": TextPair("a", "b")}),
    ]  # fmt: skip
    for fact in facts:
        back = codec.loads(codec.dumps(fact))
        assert type(back) is type(fact)
        assert back == fact
    attribution = Attribution("1", 0, np.ones(3, np.float32), ((0, 1),), 0.5)
    assert same(codec.loads(codec.dumps(attribution)).values, attribution.values)


def test_numpy_scalars_become_numbers() -> None:
    assert codec.loads(codec.dumps([np.float32(0.5), np.int64(3), np.bool_(True), np.float64("nan")]))[:3] == (0.5, 3, True)


class Sampled:
    pass


Imposter = type("Sample", (), {"__dataclass_fields__": {}})


@pytest.mark.parametrize(
    "value",
    [
        Sampled(), Imposter(), {1, 2}, b"bytes", 1j, np.longdouble(1), np.array([object()]), np.zeros(1, [("a", "i4")]),
        {"k": {"deep": Sampled}},
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_says_so(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be recorded"):
        codec.dumps(value)


def test_images_are_known_by_content() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    image = Image(pixels)
    assert codec.digest(image) == codec.digest(Image(pixels.copy())) != codec.digest(Image(pixels[::-1]))
    assert codec.digest(image) == codec.digest(codec.loads(codec.dumps(image)))
    samples = np.zeros(4, np.float32)
    assert codec.digest(Audio(samples, 8000)) != codec.digest(Audio(samples, 16000))


# ── inputs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_image_neither_freezes_nor_follows_the_callers_array() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    image = Image(pixels)
    before = image.digest
    pixels[0, 0, 0] = 9
    assert image.pixels[0, 0, 0] == 0
    assert before == Image(np.zeros((2, 2, 3), np.uint8)).digest
    with pytest.raises(ValueError):
        image.pixels[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("pixels", "dtype"),
    [
        (np.full((2, 2), 7, np.uint8), np.uint8), (np.full((2, 2, 1), 255, np.int64), np.uint8), (np.ones((2, 2, 4)), np.float32),
        (np.ones((2, 2, 3), bool), np.float32), (np.full((2, 2, 3), 0.5, np.float16), np.float32),
    ],
)  # fmt: skip
def test_pixels_have_one_of_two_scales(pixels: Any, dtype: Any) -> None:
    assert Image(pixels).pixels.dtype == dtype


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((2, 2, 3), 255.0), np.full((2, 2, 3), -1), np.full((2, 2, 3), 256), np.full((2, 2, 3), np.nan), np.zeros((2, 2, 2)),
        np.zeros(3), np.zeros((0, 2, 3)),
    ],
)  # fmt: skip
def test_another_scale_or_shape_is_an_error(pixels: Any) -> None:
    with pytest.raises(ValueError):
        Image(pixels)


def test_labels_are_written_once_for_all_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = tuple(f"label {i} of this test" for i in range(50))
    written = []
    original = codec._encode_text
    monkeypatch.setattr(codec, "_encode_text", lambda text: written.append(text) or original(text))  # type: ignore[func-returns-value]
    digests = [codec.digest(Classify(text, labels)) for text in ("a", "b", "a")]
    assert digests[0] == digests[2] != digests[1]
    assert sum(text.startswith("label") for text in written) == 50
    assert codec.digest(Classify("a", labels[1:])) not in digests
    assert codec.loads(codec.dumps(labels)) == labels


def test_every_input_has_a_modality_and_a_size() -> None:
    inputs = {
        "text": np.str_("four letter words"), "pair": TextPair("a", "b"), "chat": Chat(()), "image": Image(np.zeros((32, 48, 3), np.uint8)),
        "audio": Audio(np.zeros(3), 8000),
    }  # fmt: skip
    assert [name_modality(value) for value in inputs.values()] == list(inputs)
    assert all(measure_size(value) >= 1 for value in inputs.values())
    assert measure_size(inputs["image"]) == 32 * 48 // 64
    with pytest.raises(TypeError, match="is no input"):
        name_modality(3)  # type: ignore[arg-type]


# ── parts and streams ─────────────────────────────────────────────────────────────────────────────────────────────────


@quick
@given(st.dictionaries(keys, values, max_size=5), st.sets(st.sampled_from(["$type", "$map", "$$type", "$", "a", "$text"])), st.sets(texts))
def test_some_of_a_mapping_is_those_of_its_keys(mapping: dict[Any, Any], some: set[str], more: set[str]) -> None:
    wanted = some | more | {key for key in list(mapping)[:2] if isinstance(key, str)}
    assert same(codec.loads_some(codec.dumps(mapping), wanted), {k: v for k, v in mapping.items() if k in wanted})


def test_what_is_not_asked_for_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    text = codec.dumps({"image": Image(np.zeros((2, 2, 3), np.uint8)), "prediction": 1})
    monkeypatch.setattr(codec, "find_modality_by_name", None)
    assert codec.loads_some(text, {"prediction"}) == {"prediction": 1}


@quick
@given(st.lists(values, max_size=4))
def test_the_digest_of_a_stream_is_that_of_its_list(several: list[Any]) -> None:
    assert codec.digest_all(iter(several)) == codec.digest(several)
    image = Image(np.zeros((2, 2, 3), np.uint8))
    assert codec.digest_all([image, *several]) == codec.digest([image, *several])


def test_a_subclass_is_written_as_what_it_is() -> None:
    class Mood(enum.StrEnum):
        GOOD = "good"

    class Level(enum.IntEnum):
        HIGH = 3

    class Text(str):
        __slots__ = ()

    class Point(NamedTuple):
        x: int
        y: float

    for value, plain in [
        (Mood.GOOD, "good"), (Level.HIGH, 3), (Text("a"), "a"), (Point(1, 0.5), (1, 0.5)), (np.float64(0.5), 0.5), (np.str_("a"), "a"),
        ({Mood.GOOD: 1, Text("b"): 2}, {"good": 1, "b": 2}), (collections.OrderedDict(b=1, a=2), {"a": 2, "b": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
    ]:  # fmt: skip
        assert same(codec.loads(codec.dumps(value)), plain)
