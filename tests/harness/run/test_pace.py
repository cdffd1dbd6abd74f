"""How long the rest of a run takes, by the parts that are done."""

from __future__ import annotations

import pytest
from windtunnel.harness.run.pace import Pace
from windtunnel.harness.run.timed_progress import format_duration

A, B = ("m", "a"), ("m", "b")


def test_nothing_is_known_before_something_is_done() -> None:
    assert Pace({A: 0.5, B: 0.5}).estimate_left(*A, part=0, left=1, seconds=5) is None
    assert Pace({}).estimate_left(*A, part=0, left=1, seconds=5) is None


def test_the_item_goes_on_at_its_pace_and_the_others_at_that_of_the_run() -> None:
    pace = Pace({A: 0.25, B: 0.75})
    assert pace.estimate_left(*A, part=0.5, left=0.5, seconds=10) == pytest.approx(10 + 60)
    pace.finish(*A, part=1, seconds=30)
    assert pace.estimate_left(*B, part=0, left=1, seconds=0) == pytest.approx(90), "what the finished item has corrected"
    assert pace.estimate_left(*B, part=0.1, left=0.9, seconds=1) == pytest.approx(9), "its own pace counts, once it is known"


def test_records_of_an_earlier_run_cost_no_time() -> None:
    pace = Pace({A: 0.5, B: 0.5})
    pace.finish(*A, part=0.5, seconds=10)
    assert pace.estimate_left(*B, part=0, left=1, seconds=0) == pytest.approx(20)
    done = Pace({A: 0.5, B: 0.5})
    done.finish(*A, part=0, seconds=0)
    assert done.estimate_left(*B, part=0, left=1, seconds=0) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (89, "89 s"), (245, "4 min"), (5500, "1.5 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
