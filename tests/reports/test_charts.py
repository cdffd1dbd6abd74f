"""The charts: where their marks lie, what they say, and when they are left out."""

from __future__ import annotations

import pytest
from windtunnel.harness.api.scorecard import Estimate
from windtunnel.reports.charts.deciding import draw_deciding
from windtunnel.reports.charts.interval import Mark, Threshold, draw_interval
from windtunnel.reports.charts.svg import RATES, choose_axis, draw
from windtunnel.tests.scorecards import ATTACKS


@pytest.mark.parametrize("text", ATTACKS)
def test_hostile_text_in_a_chart_stays_text(text: str) -> None:
    shown = draw("text", text, aria_label=text)
    assert shown.count("<") == 2
    assert shown.count('"') == 2


def test_a_bar_lies_on_its_axis() -> None:
    bar = draw_interval(RATES, Estimate(0.5, 0.25, 0.75))
    assert 'class="interval" x1="26.00%" x2="74.00%"' in bar
    assert 'cx="50.00%"' in bar
    assert "hatch" not in bar


@pytest.mark.parametrize(("fails_below", "start", "width"), [(True, "2.00%", "72.00%"), (False, "74.00%", "24.00%")])
def test_the_failing_side_of_a_gate_is_hatched(fails_below: bool, start: str, width: str) -> None:
    bar = draw_interval(RATES, Estimate(0.5, 0.4, 0.6), Threshold(0.75, fails_below, "fail"))
    assert f'class="hatch" x="{start}" y="4" width="{width}"' in bar
    assert 'class="threshold" x1="74.00%"' in bar


def test_marks_beyond_the_axis_stay_at_its_end() -> None:
    assert 'x1="98.00%"' in draw_interval(RATES, Estimate(0.5), None, [Mark("tick", 7.0)])


@pytest.mark.parametrize(
    ("values", "ends"), [([0.15, 0.656], (0.0, 1.0)), ([-0.017, 0.9], (-0.5, 1.0)), ([float("nan"), 12.0], (0.0, 15.0)), ([], (0.0, 1.0))]
)
def test_an_axis_has_round_ends_around_its_values(values: list[float], ends: tuple[float, float]) -> None:
    axis = choose_axis(values, most=1.0)
    assert (axis.low, axis.high) == pytest.approx(ends)


def test_the_deciding_gate_shows_value_threshold_and_interval() -> None:
    drawing = draw_deciding(Estimate(0.805, 0.742, 0.859, 190), Threshold(0.75, True, "open"), "in words")
    assert all(text in drawing for text in (">asked: 75\u202f%<", ">80.5\u202f%<", ">74.2<", ">85.9<", 'aria-label="in words"'))
    assert draw_deciding(Estimate(None), Threshold(0.75, True), "") == ""
