"""How long the rest of a run takes, by what was measured in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from windtunnel.harness.run.pace import Key, Pace, TimeLeft, Work, list_works
from windtunnel.harness.run.progress_lines import Lines
from windtunnel.harness.run.timed_progress import format_duration, format_left
from windtunnel.tests.toys import planned

A, B, C = ("m", "a"), ("m", "b"), ("m", "c")
TWENTY = [10] * 20


def work(like: str = "asked", num: int = 20) -> Work:
    return Work(like, TWENTY, num)


def test_what_is_alike(tmp_path: Path) -> None:
    suite = planned(tmp_path, attacks=["swap"], probes=["occlusion", {"probe": "occlusion", "name": "other", "words": 2}])
    like = {item.item: work.like for item, work in zip(suite.items, list_works(suite.items).values(), strict=True)}
    assert like["notes"] == like["batch_invariance(notes)"], "the same requests"
    assert like["explanation_shift(occlusion(notes), swap(notes))"] == like["occlusion(notes)"]
    assert len({like["notes"], like["swap(notes)"], like["occlusion(notes)"], like["other(notes)"]}) == 4


def test_nothing_is_known_before_something_was_measured() -> None:
    pace = Pace({A: work(), B: work("probe")})
    assert pace.estimate(A) is None
    assert pace.estimate_left(A, 5) == TimeLeft(None, 2)


def test_an_item_goes_on_as_its_own_chunks_did() -> None:
    pace = Pace({A: Work("asked", [10, 10, 40, 40, 100], 5)})
    pace.take(A, 2, 4.0)
    assert pace.estimate(A) == pytest.approx(180 * 0.2)
    pace.take(A, 2, 8.0)
    assert pace.estimate(A) == pytest.approx(100 * 0.1), "without the first chunk, which also loads libraries"
    assert pace.estimate_left(A, 3) == TimeLeft(pytest.approx(7), 0), "the chunk in progress has lasted a while"
    assert pace.estimate_left(A, 30) == TimeLeft(0, 0)
    pace.take(A, 1, 9.0)
    assert pace.estimate(A) == 0


def test_an_item_that_waits_takes_as_long_as_the_latest_like_it() -> None:
    pace = Pace({A: work(num=10), B: work("probe"), C: work(num=5)})
    pace.take(A, 10, 20.0)
    assert pace.estimate(C) == pytest.approx(10)
    assert pace.estimate_left(B, 1) == TimeLeft(pytest.approx(10), 1), "nothing like the probe has run"
    pace.take(B, 10, 100.0)
    pace.take(B, 10, 100.0)
    assert pace.estimate_left(B, 0) == TimeLeft(pytest.approx(10), 0)


def test_another_model_is_as_much_slower_as_in_what_both_have_done() -> None:
    keys: list[Key] = [("small", "task"), ("small", "probe"), ("large", "task"), ("large", "probe"), ("large", "attack")]
    pace = Pace({key: work(key[1]) for key in keys})
    pace.take(("small", "task"), 20, 2.0)
    pace.take(("small", "probe"), 20, 30.0)
    assert pace.estimate(("large", "task")) is None, "nothing tells how fast this model is"
    pace.take(("large", "task"), 20, 20.0)
    assert pace.estimate(("large", "probe")) == pytest.approx(300)
    assert pace.estimate(("large", "attack")) is None


def test_records_of_an_earlier_run_are_neither_left_nor_measured() -> None:
    pace = Pace({A: work(), B: work(num=10)})
    pace.skip(A, 20)
    assert (pace.estimate(A), pace.estimate(B)) == (0, None)
    pace.skip(B, 5)
    pace.take(B, 1, 3.0)
    assert pace.estimate(B) == pytest.approx(12)


def test_an_item_that_ends_early_leaves_nothing() -> None:
    pace = Pace({A: work(), B: work()})
    pace.take(A, 5, 5.0)
    pace.finish(A)
    assert pace.estimate_left(B, 0) == TimeLeft(pytest.approx(20), 0)


def test_lines_say_what_is_left_and_what_is_unknown() -> None:
    times = iter([0, 0, 0, 10, 10, 30, 30, 30, 30, 40, 40, 60, 60])
    said: list[str] = []
    lines = Lines(said.append, clock=lambda: next(times))
    lines.plan({A: work(), B: work("probe")})
    for key in (A, B):
        lines.item(*key, 0, 20)
        lines.advance(5)
        lines.advance(15)
        lines.finish()
    assert said == [
        "[1/2] m  a: 20 samples; time left unknown yet",
        "[1/2] m  a: 5 of 20 samples; about 30 s left + 1 item unknown yet",
        "[1/2] m  a: 20 samples done in 30 s",
        "[2/2] m  b: 20 samples; time left unknown yet",
        "[2/2] m  b: 5 of 20 samples; about 30 s left",
        "[2/2] m  b: 20 samples done in 30 s",
    ]


def test_lines_are_repeated_whenever_twice_as_many_samples_are_done() -> None:
    said: list[str] = []
    lines = Lines(said.append)
    lines.plan({A: Work("asked", [1] * 100, 100)})
    lines.item(*A, 20, 100)
    for _ in range(16):
        lines.advance(5)
    assert [line.split()[3] for line in said[1:]] == ["25", "30", "40", "60"]


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (TimeLeft(None, 3), "time left unknown yet"),
        (TimeLeft(245, 0), "about 4 min left"),
        (TimeLeft(12, 2), "about 12 s left + 2 items unknown yet"),
    ],
)
def test_what_is_left(left: TimeLeft, text: str) -> None:
    assert format_left(left) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (89, "89 s"), (245, "4 min"), (5500, "1.5 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
