"""Class names: the model's against the asker's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from windtunnel.harness.api.errors import ModelError
from windtunnel.harness.models.common.labels import find_columns, normalise


@pytest.mark.parametrize(
    ("model", "asked", "columns"),
    [
        (("negative", "positive"), (), [0, 1]),
        (("negative", "positive"), ("positive", "negative"), [1, 0]),
        (("NEGATIVE", "POSITIVE"), ("positive", "negative"), [1, 0]),
        (("Sci/Tech", "World"), ("world", "sci_tech"), [1, 0]),
        (("not_equivalent", "Equivalent"), ("equivalent", "not equivalent"), [1, 0]),
        # Never told its names: counts as the asker does.
        (("LABEL_0", "LABEL_1"), ("negative", "positive"), [0, 1]),
        (("0", "1", "2"), ("a", "b", "c"), [0, 1, 2]),
        # Names that are numbers are names.
        (("LABEL_0", "LABEL_1"), ("LABEL_1", "LABEL_0"), [1, 0]),
        (("0", "1", "2"), ("2", "0", "1"), [2, 0, 1]),
        (("1", "0"), ("0", "1"), [1, 0]),
        # Names without a word in them.
        (("+", "-"), ("-", "+"), [1, 0]),
        (("C", "C++", "C#"), ("C#", "C", "C++"), [2, 0, 1]),
        (("Ja", "ja"), ("ja", "Ja"), [1, 0]),
    ],
)
def test_columns(model: tuple[str, ...], asked: tuple[str, ...], columns: list[int]) -> None:
    assert find_columns(model, asked) == columns


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        (("negative", "positive"), ("bad", "good")),
        (("negative", "positive"), ("negative", "positive", "neutral")),
        (("negative", "neutral", "positive"), ("negative", "positive")),
        (("LABEL_0", "LABEL_1", "LABEL_2"), ("negative", "positive")),
        (("a", "b"), ("a", "a")),
        (("a", "a"), ("a", "a")),
        (("+", "-"), ("plus", "minus")),
        # Numbered, but not from 0: somebody chose these names, e.g. stars, and only a person knows whether they fit.
        (("1", "2"), ("bad", "good")),
        (("LABEL_1", "LABEL_0"), ("bad", "good")),
    ],
)
def test_labels_that_do_not_match_are_an_error(model: tuple[str, ...], asked: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match="the task"):
        find_columns(model, asked)


@given(st.permutations(["world", "sports", "business", "sci/tech"]), st.permutations(["World", "Sports", "Business", "Sci Tech"]))
def test_any_order_is_found(model: list[str], asked: list[str]) -> None:
    assert [normalise(model[c]) for c in find_columns(model, asked)] == [normalise(name) for name in asked]
