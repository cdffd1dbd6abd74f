"""Attributions in few bytes: what is lost stays below its bound, keeps signs and order, and what is written comes back exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from windtunnel.harness.modalities.words import word_spans
from windtunnel.harness.store import codec
from windtunnel.harness.store.attribution_codec import Steps, decode_half, encode_half, round_to_half

quick = settings(deadline=None, max_examples=300)
singles = st.floats(width=32, allow_nan=False, allow_infinity=False)
arrays = npst.arrays(np.float32, npst.array_shapes(max_dims=2, max_side=6), elements=singles)
like_attributions = arrays.map(lambda a: (a / max(np.abs(a).max(), np.float32(1e-30))).astype(np.float32))


def steps_above(value: np.float32) -> Any:
    return np.nextafter(value, np.float32(np.inf))


@quick
@given(st.one_of(arrays, like_attributions))
def test_a_value_moves_no_further_than_is_said(values: np.ndarray[Any, Any]) -> None:
    exact, kept = values.astype(np.float64), round_to_half(values).astype(np.float64)
    bound = np.maximum(2.0**-11 * np.abs(exact), 2.0**-38 * np.abs(exact).max())
    # Values of float32's own last range are spaced by 2 ** -149, float16 or not.
    assert (np.abs(kept - exact) <= np.maximum(bound, 2.0**-149)).all()
    assert ((kept == 0) | (np.sign(kept) == np.sign(exact))).all()


@quick
@given(like_attributions)
def test_order_is_kept_up_to_ties(values: np.ndarray[Any, Any]) -> None:
    order = np.argsort(values, axis=None, kind="stable")
    kept = round_to_half(values).reshape(-1)[order]
    assert (np.diff(kept) >= 0).all()


def test_words_that_differ_visibly_keep_their_ranks() -> None:
    values = np.random.default_rng(0).permutation(np.float32(1.001) ** np.arange(-2000, 2000, dtype=np.float32))
    np.testing.assert_array_equal(np.argsort(round_to_half(values)), np.argsort(values))
    near = np.array([1.0, steps_above(np.float32(1.0))], np.float32)
    assert len(set(round_to_half(near).tolist())) == 1, "what differs by less than 2 ** -11 becomes a tie"


@quick
@given(st.one_of(arrays, like_attributions))
def test_rounded_values_are_written_short_and_comes_back_exactly(values: np.ndarray[Any, Any]) -> None:
    kept = round_to_half(values)
    half = encode_half(kept)
    assert half is not None
    assert decode_half(*half).tobytes() == kept.tobytes()
    text = codec.dumps(kept)
    assert text.startswith('{"$half":')
    back = codec.loads(text)
    assert (back.dtype, back.shape, back.tobytes()) == (np.float32, kept.shape, kept.tobytes())
    np.testing.assert_array_equal(round_to_half(kept), kept)


@pytest.mark.parametrize("values", [[0.1, 1.0], [np.nan, 1.0], [np.inf, 1.0], [1.0, 2.0**-60], []])
def test_values_that_are_not_rounded_are_written_whole(values: list[float]) -> None:
    array = np.array(values, np.float32)
    text = codec.dumps(array)
    assert text.startswith('{"$array":')
    assert codec.loads(text).tobytes() == array.tobytes()


@quick
@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 300)), max_size=8).map(tuple))
def test_spans_come_back_whatever_they_are(spans: tuple[tuple[int, int], ...]) -> None:
    back = codec.loads(codec.dumps(Steps(spans)))
    assert back == spans
    assert type(back) is Steps
    assert all(type(edge) is int for span in back for edge in span)


def test_a_sentence_takes_two_bytes_a_word_and_two_bytes_a_value() -> None:
    text = "an utterly compelling story about a family that nobody would choose to be born into and nobody could ever leave behind"
    spans = word_spans(text)
    values = round_to_half(np.random.default_rng(0).normal(size=len(spans)).astype(np.float32))
    written = codec.dumps({"values": values, "spans": Steps(spans), "target": 1})
    before = codec.dumps({"values": values.astype(np.float64), "spans": spans, "target": 1})
    assert len(written) < 100 + 4 / 3 * 4 * len(spans) < len(before) / 2


def test_the_form_of_earlier_stores_is_read() -> None:
    text = '{"spans":[[0,1],[2,6]],"target":1,"values":{"$array":["<f4",[2],"AACAPwAAAMA="]}}'
    found = codec.loads(text)
    assert found["spans"] == Steps(((0, 1), (2, 6)))
    np.testing.assert_array_equal(found["values"], np.array([1, -2], np.float32))
