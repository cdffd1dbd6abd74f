"""Tokens of a window at once, and of the next one in a thread: the same as text by text."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.requests import Classify, Generate, LogLikelihood, RollingLogLikelihood
from windtunnel.harness.api.responses import Failure
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.models.common.token_window import Tokenised
from windtunnel.harness.run import model_run
from windtunnel.harness.run.runner import run_plan
from windtunnel.tests import tiny
from windtunnel.tests.toys import planned


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


# ── in a run ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "requests"),
    [
        (
            "bert",
            [Classify("the cat"), Classify(TextPair("the cat", "a dog")), Classify("a dog " * 90), Classify("\ud800"), Classify("bad")],
        ),
        (
            "llama",
            [LogLikelihood("the cat ", "sat"), RollingLogLikelihood("a dog sat"), Generate("the", max_tokens=3), LogLikelihood("", "a")],
        ),
    ],
)
def test_what_was_expected_is_answered_as_ever(name: str, requests: list[Any]) -> None:
    model = tiny.load(name)
    plain = [tiny.engine(model).try_run([request])[0] for request in requests]
    engine = tiny.engine(model)
    engine.expect(lambda: requests[:2])
    first = engine.try_run(requests[:2])
    engine.expect(lambda: requests[2:])
    # What was expected need not be what is asked.
    again = tiny.engine(model).try_run(requests[1:2])
    for found, wanted in zip([*first, *engine.try_run(requests[2:]), *again], [*plain, plain[1]], strict=True):
        assert type(found) is type(wanted)
        if isinstance(wanted, Failure):
            assert found == wanted
        else:
            assert found.numbers() == pytest.approx(wanted.numbers(), abs=1e-5)


def test_a_run_tells_of_the_next_chunk_before_it_works_on_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, list[str]]] = []
    load_model = model_run.load_model

    def told_of(*arguments: Any) -> Any:
        model = load_model(*arguments)
        classify = model.classify
        model.prepare_ahead = lambda requests: told.append(("expected", [str(r.input) for r in requests()]))
        model.classify = lambda batch: told.append(("asked", [str(r.input) for r in batch])) or classify(batch)
        return model

    monkeypatch.setattr(model_run, "load_model", told_of)
    run_plan(planned(tmp_path, models=["toy:words"]), tmp_path / "run")
    (_, second), (_, first), (_, third), (_, also_second) = told[:4]
    assert [what for what, _ in told] == ["expected", "asked", "expected", "asked", "asked"]
    assert sorted(second) == sorted(also_second)
    assert not set(second) & {*first, *third}
