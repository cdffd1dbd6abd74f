"""Edits by splicing give what TextAttack's own give: text, words, and where they come from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from windtunnel.attacks.text.splicing import make_spliced_text_class

pytestmark = pytest.mark.textattack


# Letters that repeat (a word found in another), what a word may hold but not end in, look-alikes that count as letters, what parts words,
# several kinds of space, accents, lone surrogates, Chinese, and TextAttack's separator, whole and in pieces.
PIECES = (
    "a", "b", "ab", "I", "S", "It's", "well-made", "[UNK]", "x_y", "é", "e\u0301", "İ", "ß", "`", "×", "ɑ", "3.5", "@me", "*", "'", "-",
    "_", ".", ",", "!?", "...", "(", ")", "<", ">", "SPLIT", "<SPLIT>", " ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u200b", "\u2028",
    "\x1c", "🙂", "👩\u200d👧", "\ud800", "\x00", "電影", "好",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
PLAIN_TEXTS = st.lists(st.sampled_from([piece for piece in PIECES if piece not in ("<SPLIT>", "電影", "好")]), min_size=3, max_size=14).map(
    " ".join
)
INDICES = st.integers(0, 30)
EDITS = st.one_of(
    st.tuples(st.just("replace_word_at_index"), INDICES, TEXTS),
    st.tuples(st.just("replace_word_at_index"), INDICES, st.sampled_from(["", "[UNK]", "ab", "two words", "a b c"])),
    st.tuples(st.just("delete_word_at_index"), INDICES),
    st.tuples(st.just("insert_text_before_word_index"), INDICES, TEXTS),
    st.tuples(st.just("insert_text_after_word_index"), INDICES, TEXTS),
    st.tuples(st.just("generate_new_attacked_text"), st.lists(st.one_of(st.none(), TEXTS), max_size=8)),
)


def edited(text: Any, edit: tuple[Any, ...]) -> Any:
    """The text after an edit, or the class of the error that it ends in. Indices are counted around; None keeps a word."""
    name, *given = edit
    if name == "generate_new_attacked_text":
        kept = [*text.words, *[""] * len(given[0])]
        given = [[kept[i] if word is None else word for i, word in enumerate(given[0])]]
    else:
        given = [given[0] % max(1, len(text.words)), *given[1:]]
    try:
        return getattr(text, name)(*given)
    except (IndexError, ValueError) as error:
        return type(error)


def facts(text: Any) -> Any:
    """All that a text says of itself, without caches and without the texts before it."""
    if isinstance(text, type):
        return text
    attrs = {name: value for name, value in text.attack_attrs.items() if name != "previous_attacked_text"}
    attrs["original_index_map"] = attrs["original_index_map"].tolist()
    return text.text, text.tokenizer_input, text.words, list(attrs.items()), hash(text), text._text_input


def assert_same(textattack: Any, given: Any, edits: Sequence[tuple[Any, ...]], attrs: dict[str, Any] | None = None) -> Any:
    stock = textattack.shared.AttackedText(given, attack_attrs=dict(attrs) if attrs else None)
    ours = make_spliced_text_class(textattack)(given, attack_attrs=dict(attrs) if attrs else None)
    for edit in edits:
        before_stock, before_ours = stock, ours
        stock, ours = edited(stock, edit), edited(ours, edit)
        assert facts(ours) == facts(stock)
        if isinstance(ours, type):
            return before_ours
        assert ours.words == textattack.shared.utils.words_from_text(ours.text)
        assert vars(stock).keys() == vars(ours).keys() - {"_starts"}
        assert list(ours.attack_attrs) == list(stock.attack_attrs)
        assert ours.attack_attrs["previous_attacked_text"] is before_ours
        assert facts(before_ours) == facts(before_stock)
        assert ours == stock
    return ours


@settings(max_examples=400, deadline=None)
@given(text=st.one_of(PLAIN_TEXTS, TEXTS), edits=st.lists(EDITS, min_size=1, max_size=5))
def test_edits_are_textattacks(textattack: Any, text: str, edits: list[tuple[Any, ...]]) -> None:
    assert_same(textattack, text, edits)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=40), edits=st.lists(EDITS, min_size=1, max_size=3))
def test_edits_of_any_text_are_textattacks(textattack: Any, text: str, edits: list[tuple[Any, ...]]) -> None:
    assert_same(textattack, text, edits)


@settings(max_examples=100, deadline=None)
@given(first=TEXTS, second=TEXTS, edits=st.lists(EDITS, min_size=1, max_size=3))
def test_edits_of_several_parts_are_textattacks(textattack: Any, first: str, second: str, edits: list[tuple[Any, ...]]) -> None:
    assert_same(textattack, OrderedDict(premise=first, hypothesis=second), edits)


WORDS = "It 's a (well-made) film , isn't it ?"


@pytest.mark.parametrize(
    ("edit", "text", "words", "newly", "origins"),
    [
        (("replace_word_at_index", 3, "bad"), "It 's a (bad) film , isn't it ?", "It s a bad film isn't it", {3}, [0, 1, 2, 3, 4, 5, 6]),
        (("delete_word_at_index", 0), "'s a (well-made) film , isn't it ?", "s a well-made film isn't it", set(), [-1, 0, 1, 2, 3, 4, 5]),
        (("delete_word_at_index", 4), "It 's a (well-made) , isn't it ?", "It s a well-made isn't it", set(), [0, 1, 2, 3, -1, 4, 5]),
        (
            ("insert_text_before_word_index", 4, "long dull"), "It 's a (well-made) long dull film , isn't it ?",
            "It s a well-made long dull film isn't it", {4, 5, 6}, [0, 1, 2, 3, 6, 7, 8],
        ),
        (
            ("insert_text_after_word_index", 4, "too"), "It 's a (well-made) film too , isn't it ?",
            "It s a well-made film too isn't it", {4, 5}, [0, 1, 2, 3, 4, 6, 7],
        ),
    ],
)  # fmt: skip
def test_known_edits(textattack: Any, edit: tuple[Any, ...], text: str, words: str, newly: set[int], origins: list[int]) -> None:
    found = assert_same(textattack, WORDS, [edit])
    assert (found.text, found.words) == (text, words.split())
    assert found.attack_attrs["newly_modified_indices"] == newly
    assert found.attack_attrs["original_index_map"].tolist() == origins
    assert isinstance(found, make_spliced_text_class(textattack))


def test_what_a_text_brings_is_kept(textattack: Any) -> None:
    brought = {"label_names": ["bad", "good"], "original_index_map": np.array([4, 2, 0]), "modified_indices": {1, 2}}
    found = assert_same(textattack, "one two three", [("delete_word_at_index", 1), ("replace_word_at_index", 0, "a b")], brought)
    assert found.attack_attrs["label_names"] == ["bad", "good"]
    assert brought["modified_indices"] == {1, 2}


@pytest.mark.parametrize("text", ["這是 film good", OrderedDict(premise="a b", hypothesis="b I")], ids=["chinese", "two parts"])
def test_what_is_not_local_is_left_to_textattack(textattack: Any, text: Any) -> None:
    found = assert_same(textattack, text, [("replace_word_at_index", 0, "x")])
    assert type(found) is textattack.shared.AttackedText


def test_a_separator_made_by_an_edit_ends_the_text(textattack: Any) -> None:
    assert assert_same(textattack, "a <b> c", [("replace_word_at_index", 1, "SPLIT")]).text == "a "


def test_wrong_use_is_refused_as_by_textattack(textattack: Any) -> None:
    text = make_spliced_text_class(textattack)("one two")
    with pytest.raises(ValueError, match="Cannot assign word at index -1"):
        text.replace_word_at_index(-1, "x")
    with pytest.raises(TypeError, match="requires ``str``"):
        text.replace_word_at_index(0, 1)


def test_an_edit_splits_only_the_replacement(textattack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = make_spliced_text_class(textattack)(" ".join(f"word{i}" for i in range(300)))
    split = []
    words_from_text = textattack.shared.utils.words_from_text

    def counted(given: str) -> list[str]:
        split.append(given)
        return list(words_from_text(given))

    make_spliced_text_class.cache_clear()
    monkeypatch.setattr(textattack.shared.utils, "words_from_text", counted)
    monkeypatch.setattr("textattack.shared.attacked_text.words_from_text", counted)
    try:
        text = make_spliced_text_class(textattack)(text.text)
        assert text.replace_word_at_index(7, "x").delete_word_at_index(9).num_words == 299
    finally:
        make_spliced_text_class.cache_clear()
    assert split == [text.text, "x", ""]
