"""The samples of a page: which are kept under a budget, what the index says of them and of the others, and what pictures become."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.scorecard import BaselineAnswer, Opinion, SampleView, Shown, Twin
from windtunnel.reports.html import Html
from windtunnel.reports.sample_index import FACETS, MOST_ANSWERS, TEXT_LIMIT
from windtunnel.reports.sample_pack import pack_samples
from windtunnel.tests.pages import Held, read_page, unpack
from windtunnel.tests.scorecards import crowd, hostile, many, rich

ROOMY = 10_000_000


def note(i: int, correct: bool | None = True, **changes: object) -> SampleView:
    """A sample of 300 random letters, which hardly compress."""
    text = "".join(random.Random(i).choices("abcdefghij klmnopqrst", k=300))
    view = SampleView("m", "notes", f"n{i}", Shown("text", text), ("negative", "positive")[i % 2], "positive", correct)
    return replace(view, **changes)  # type: ignore[arg-type]


def pack(*samples: SampleView, budget: int = ROOMY) -> Held:
    return unpack(pack_samples(samples, budget))


def test_all_samples_are_there_if_they_fit() -> None:
    held = pack(*(note(i, i % 3 != 0) for i in range(2_500)))
    assert sorted(held.index["places"]) == list(range(2_500))
    assert len(held.drawn) == held.index["num"] == 2_500
    assert set(held.index["left"]) == {0}


def test_the_wrong_ones_are_there_though_all_come_last() -> None:
    """3,000 rows sorted by class, of which the second half is wrong."""
    held = pack(*(note(i, i < 1_500) for i in range(3_000)), budget=300_000)
    answers = Counter(answer for (answer,) in held.answers("answer"))
    assert 0 < answers.total() < 1_500
    assert answers == {"wrong": answers.total()}


def test_passages_are_no_answers_to_filter_by() -> None:
    """Such as the reference of a translation that two models made."""
    held = pack(*(note(i, model=model, target=f"{'word ' * 20}{i}", prediction="two\nlines") for model in "ab" for i in range(4)))
    assert held.answers("class") + held.answers("predicted") == [[]] * 16


def test_need_decides_and_then_classes_and_slices_take_turns() -> None:
    failed, wrong = note(70, None, error="it broke"), [note(i, False) for i in range(80, 84)]
    flipped = note(75, twins=(Twin("swap", Shown("text", "x"), "negative", True),))
    rare = [note(i, slice="rare") for i in range(500, 503)]
    plenty = [note(i, slice="common") for i in range(60)]
    held = pack(*plenty, *wrong, flipped, failed, *rare, budget=14_000)
    num = len(held.drawn)
    assert 14 <= num < 40
    order = [held.index["ids"][row] for row in range(num)]
    assert order[:2] == ["n70", "n75"]
    assert sorted(order[2:6]) == ["n80", "n81", "n82", "n83"]
    assert {"n500", "n501", "n502"} <= set(order[6:14]), "a slice of three is not crowded out by one of sixty"
    assert {label for (label,) in held.answers("class")[6:10]} == {"negative", "positive"}


def test_flips_against_the_first_model_are_a_facet_and_come_before_wrong_ones() -> None:
    def beside(i: int, after: bool | None, before: bool | None) -> SampleView:
        return note(i, after, baseline=BaselineAnswer("first", "\x1b[31m", before, "whole"))

    held = pack(
        note(0, False), beside(1, True, True), beside(2, True, None), beside(3, None, True), beside(4, True, False), beside(5, False, True)
    )
    flips = dict(zip(held.index["ids"], held.answers("flip"), strict=True))
    assert flips == {"n0": [], "n1": ["same"], "n2": [], "n3": [], "n4": ["fixed"], "n5": ["regressed"]}
    assert held.index["ids"][:3] == ["n4", "n5", "n0"]
    drawn = dict(zip(held.index["ids"], held.drawn, strict=True))
    assert drawn["n5"]["baseline"] == {"model": "first", "prediction": "␛[31m", "output": "whole", "answer": "right"}
    assert "baseline" not in drawn["n0"]


def test_the_index_counts_what_is_left_out() -> None:
    samples = [note(i, i % 4 != 0) for i in range(400)]
    held = pack(*samples, budget=20_000)
    assert len(held.drawn) < 400
    kept = Counter(held.index["profile"])
    found: Counter[str] = Counter()
    for number, (profile, left) in enumerate(zip(held.index["profiles"], held.index["left"], strict=True)):
        (answer,) = profile[FACETS.index("answer")]
        found[held.index["facets"][FACETS.index("answer")]["answers"][answer]] += left + kept[number]
    assert found == {"right": 300, "wrong": 100}


@pytest.mark.parametrize("budget", [3_000, 10_000, 60_000, 400_000])
def test_the_budget_is_kept(budget: int) -> None:
    lines = pack_samples([*many(600).samples, *hostile().samples], budget)
    assert len(lines) <= budget


def test_the_page_is_no_larger_than_its_option() -> None:
    samples = tuple(note(i) for i in range(4_500))
    card = replace(rich(0), samples=samples, num_samples=len(samples))
    page = Html(max_mb=1).render(card)
    assert 900_000 < len(page.encode()) <= 1_000_000
    assert len(read_page(Html().render(card)).drawn) == 4_500
    with pytest.raises(ConfigError, match="max_mb"):
        Html(max_mb=0)


def test_five_thousand_texts_take_less_than_two_megabytes() -> None:
    assert len(Html().render(many(5_000))) < 2_000_000


@pytest.mark.long
def test_a_hundred_thousand_texts_take_less_than_twenty_megabytes() -> None:
    held = read_page(Html(max_mb=20).render(crowd()))
    assert len(held.drawn) == len(held.index["ids"]) == held.index["num"] == 100_000


def test_samples_are_made_once_and_one_at_a_time() -> None:
    class Streamed(list[SampleView]):
        alive = most = 0

        def __iter__(self) -> Iterator[SampleView]:
            for i in range(2_000):
                yield note(i)
            type(self).alive += 1

    samples = Streamed()
    assert len(unpack(pack_samples(samples, ROOMY)).drawn) == 2_000
    assert Streamed.alive == 1


def test_equal_samples_give_equal_bytes() -> None:
    assert pack_samples(rich().samples, 50_000) == pack_samples(rich().samples, 50_000)


class TestIndex:
    def test_answers(self) -> None:
        twins = (Twin("swap", Shown("text", "x"), "negative", True), Twin("noise", None, None, None), Twin("swap", None, "x", True),
                 Twin("slow", None, None, False, note="it broke", is_failed=True))  # fmt: skip
        held = pack(note(0, twins=twins, group="g", category="c"), note(2, twins=twins, group="g", category="c"), note(4, None))
        row = held.index["places"].index(0)
        assert {name: held.answers(name)[row] for name in FACETS} == {
            "model": ["m"], "task": ["notes"], "answer": ["right"], "flip": [],
            "attack": ["swap: flipped", "noise: not attacked", "slow: failed"], "probe": [],
            "class": ["negative"], "predicted": ["positive"], "slice": [], "category": ["c"], "group": ["g"],
        }  # fmt: skip
        assert ["not judged"] in held.answers("answer")

    def test_of_explanations(self) -> None:
        held = pack(*rich().samples)
        found = {answer for answers in held.answers("probe") for answer in answers}
        assert {"integrated_gradients: explained", "integrated_gradients: wrong, and unfaithful", "occlusion: explained"} <= found

    def test_texts_that_do_not_repeat_are_no_classes(self) -> None:
        stories = [note(i, task="stories", target=f"ending {i}", prediction=f"other {i}", group=str(i)) for i in range(30)]
        held = pack(*(note(i) for i in range(30)), *stories)
        assert {answer for answers in held.answers("class") for answer in answers} == {"negative", "positive"}
        assert not any(held.answers("group"))
        assert "ending 7" in "".join(held.index["texts"]), "they are still found"

    def test_more_classes_than_a_page_can_list(self) -> None:
        held = pack(*(note(i, target=str(i % (MOST_ANSWERS + 1))) for i in range(3 * MOST_ANSWERS)))
        assert not any(held.answers("class"))

    def test_numbers_are_columns(self) -> None:
        first = note(0, probabilities={"positive": 0.87654321, "negative": 0.1}, scores={"loss": 2.0, "odd": None, "nan": float("nan")})
        held = pack(first, note(1, twins=(Twin("swap", None, None, False, {"num_queries": 12.0}),)))
        rows = [held.index["places"].index(place) for place in (0, 1)]
        numbers = {name: [column[row] for row in rows] for name, column in held.index["numbers"].items()}
        assert numbers == {"confidence": [0.8765, None], "loss": [2.0, None], "swap: num_queries": [None, 12.0]}

    def test_the_beginning_of_a_text_is_searched(self) -> None:
        held = pack(note(0, input=Shown("text", "word " * 1_000), error="it\nbroke \x1b[31m"))
        text, *said = held.index["texts"][0].split("\n")
        assert len(text) == TEXT_LIMIT
        assert said == ["negative", "positive", "it broke ␛[31m"]


class TestDrawn:
    def test_an_input_that_the_index_holds_is_not_repeated(self) -> None:
        held = pack(note(0), note(1, input=Shown("text", "two\nlines")), note(2, input=Shown("chat", parts=(("user", "a"),))))
        by_place = {place: held.drawn[row] for row, place in enumerate(held.index["places"])}
        assert "input" not in by_place[0]
        assert by_place[1]["input"]["texts"] == [["", [["=", "two\nlines"]], ""]]
        assert by_place[2]["input"]["kind"] == "chat"

    def test_a_judged_answer(self) -> None:
        opinions = (
            Opinion("refused", "phrases", True),
            Opinion("refused", "model", None, "no verdict in 'maybe'"),
            Opinion("", "human", False),
        )
        held = pack(note(0, prediction="7", output="so it is 7", num_tokens=32, opinions=opinions, category="sums"))
        (drawn,) = held.drawn
        assert (drawn["prediction"], drawn["output"], drawn["category"]) == ("7", "so it is 7", "sums")
        assert drawn["note"] == "The answer was cut at 32 tokens."
        assert drawn["opinions"] == [
            ["refused", "phrases", "yes", ""], ["refused", "model", "no verdict", "no verdict in 'maybe'"], ["", "human", "no", ""],
        ]  # fmt: skip
