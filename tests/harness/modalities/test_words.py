"""Words and their places, and token values gathered to them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from windtunnel.harness.modalities.words import Spans, gather, word_spans


def words(text: str) -> list[str]:
    return [text[a:b] for a, b in word_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's a well-made film, really!", ["It's", "a", "well-made", "film", ",", "really", "!"]),
        ("don’t stop…", ["don’t", "stop", "…"]),
        ("3.5 stars", ["3", ".", "5", "stars"]),
        ("", []),
        (" \n\t", []),
        ("-dash- 'quote'", ["-", "dash", "-", "'", "quote", "'"]),
        ("cafe\u0301 ole\u0301.", ["cafe\u0301", "ole\u0301", "."]),
        ("re\u0301sume\u0301", ["re\u0301sume\u0301"]),
        ("हिन्दी अच्छी है", ["हिन्दी", "अच्छी", "है"]),
        ("好电影 great", ["好", "电", "影", "great"]),
        ("a👩\u200d👩\u200d👧 b", ["a", "👩\u200d👩\u200d👧", "b"]),
        ("❤\ufe0f!", ["❤\ufe0f", "!"]),
        ("ok👍🏽👍 👩🏽\u200d🚀!", ["ok", "👍🏽", "👍", "👩🏽\u200d🚀", "!"]),
        ("🇩🇪🇫🇷 🇩a", ["🇩🇪", "🇫🇷", "🇩", "a"]),
        ("x\ud800y", ["x", "\ud800", "y"]),
        ("\u0301a", ["\u0301a"]),
    ],
)
def test_what_a_word_is(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(max_size=40))
def test_spans_are_in_order_apart_and_cover_all_but_space(text: str) -> None:
    spans = word_spans(text)
    assert all(a < b for a, b in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    inside = set().union(*(range(a, b) for a, b in spans)) if spans else set()
    assert {i for i, c in enumerate(text) if not c.isspace()} <= inside


def plain_gather(values: list[float], tokens: list[tuple[int, int]], spans: Spans) -> np.ndarray:
    """Character by character."""
    out = np.zeros(len(spans))
    for value, (start, end) in zip(values, tokens, strict=True):
        owners = [w for at in range(start, end) for w, (a, b) in enumerate(spans) if a <= at < b]
        for w in owners:
            out[w] += value / len(owners)
    return out


@given(st.text("ab -'!", max_size=20), st.data())
def test_gather_is_the_plain_loop(text: str, data: st.DataObject) -> None:
    edges = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    tokens = [(0, 0), *pairwise(edges), (0, 0)]
    values = data.draw(st.lists(st.integers(-8, 8), min_size=len(tokens), max_size=len(tokens)))
    spans = word_spans(text)
    np.testing.assert_allclose(gather(np.array(values, float), tokens, spans), plain_gather(list(values), tokens, spans), atol=1e-5)


def test_sub_tokens_sum_and_special_tokens_add_nothing() -> None:
    spans = word_spans("unhappy dog")
    got = gather(np.array([9.0, 1.0, 2.0, 4.0, 9.0]), [(0, 0), (0, 2), (2, 7), (7, 11), (0, 0)], spans)
    np.testing.assert_allclose(got, [3, 4])


def test_a_token_over_two_words_is_shared_by_its_characters() -> None:
    np.testing.assert_allclose(gather(np.array([6.0]), [(0, 4)], word_spans("a bcd")), [2, 4])


def test_a_token_of_space_adds_nothing() -> None:
    np.testing.assert_allclose(gather(np.array([5.0]), [(1, 3)], word_spans("a   b")), [0, 0])


def test_long_texts_are_quick() -> None:
    text = "word " * 20_000
    spans = word_spans(text)
    assert gather(np.ones(len(spans)), spans, spans).sum() == len(spans)
