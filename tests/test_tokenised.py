"""Tokens of a window at once, and of the next one in a thread: the same as text by text."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from windtunnel.harness.models.tokenised import Tokenised


class Letters:
    """Makes a list of letters of each text; keeps what it was given, and by which thread."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []

    def __call__(self, tokenizer: Any, texts: list[str]) -> list[list[str]]:
        self.asked.append((threading.current_thread().name, list(texts)))
        return [list(text.encode().decode()) for text in texts]


def test_a_window_is_made_at_once_and_forgotten_with_the_next() -> None:
    letters = Letters()
    texts: Tokenised[str, list[str]] = Tokenised(object(), letters)
    texts.window(["ab", "c", "ab"])
    assert (texts.get("ab"), texts.get("c"), texts.get("d")) == (["a", "b"], ["c"], None)
    texts.window(["d"])
    assert (texts.get("ab"), texts.get("d")) == (None, ["d"])
    assert [asked for _, asked in letters.asked] == [["ab", "c"], ["d"]]


def test_what_was_expected_is_made_by_a_thread_and_not_again() -> None:
    letters = Letters()
    texts: Tokenised[str, list[str]] = Tokenised(object(), letters)
    texts.window(["a"])
    texts.ahead(["b", "c"])
    texts.window(["c", "d", "b"])
    assert [texts.get(text) for text in "bcd"] == [["b"], ["c"], ["d"]]
    main = threading.current_thread().name
    assert [(name == main, asked) for name, asked in letters.asked] == [(True, ["a"]), (False, ["b", "c"]), (True, ["d"])]


def test_a_window_that_holds_no_text_is_left_to_each_on_its_own() -> None:
    texts: Tokenised[str, list[str]] = Tokenised(object(), Letters())
    texts.ahead(["fine", "\ud800"])
    texts.window(["fine"])
    assert texts.get("fine") == ["f", "i", "n", "e"]
    texts.window(["fine", "\ud800"])
    assert texts.get("fine") is None


def test_another_error_of_the_thread_is_not_swallowed() -> None:
    def broken(tokenizer: Any, some: list[str]) -> list[str]:
        raise RuntimeError("already borrowed")

    texts: Tokenised[str, str] = Tokenised(object(), broken)
    texts.ahead(["a"])
    with pytest.raises(RuntimeError, match="already borrowed"):
        texts.window(["a"])


def test_the_thread_has_a_tokenizer_of_its_own() -> None:
    seen: list[Any] = []

    def note(tokenizer: Any, some: list[str]) -> list[str]:
        seen.append(tokenizer)
        return some

    own = [1]
    texts: Tokenised[str, str] = Tokenised(own, note)
    texts.ahead(["a"])
    texts.window(["b"])
    assert seen[0] == seen[1] == own
    assert seen[0] is not own
    assert seen[1] is own
