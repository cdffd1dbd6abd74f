"""The charts: where their marks lie, what they say, and when they are left out."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.scorecard import ConfidenceBin, Confusion, Estimate, Figure, QueryCurve, Reliability, Row, Scorecard
from windtunnel.reports.charts.confusion import draw_confusion
from windtunnel.reports.charts.cost import draw_cost
from windtunnel.reports.charts.deciding import draw_deciding
from windtunnel.reports.charts.epsilon import draw_epsilon
from windtunnel.reports.charts.interval import Mark, Threshold, draw_interval
from windtunnel.reports.charts.queries import draw_queries
from windtunnel.reports.charts.reliability import draw_reliability
from windtunnel.reports.charts.svg import RATES, choose_axis, draw
from windtunnel.reports.page.figures import list_attack_figures, list_confusions, list_reliabilities
from windtunnel.reports.page.rows import Subject
from windtunnel.reports.values import RATE
from windtunnel.tests.scorecards import ATTACKS, MEASURES


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
    drawing = draw_deciding(Estimate(0.805, 0.742, 0.859, 190), Threshold(0.75, True, "open"), RATE, "in words")
    assert all(text in drawing for text in (">asked: 75\u202f%<", ">80.5\u202f%<", ">74.2<", ">85.9<", 'aria-label="in words"'))
    assert draw_deciding(Estimate(None), Threshold(0.75, True), RATE, "") == ""


# ── charts ────────────────────────────────────────────────────────────────────────────────────────────────────────────

KEY = ItemKey("task", "t")


def test_a_confusion_matrix_has_its_counts_and_names_the_worst_pair() -> None:
    found = Confusion("m", KEY, ("cat", "dog", "owl", "hen", "cow"), ((0, 0, 8), (0, 1, 2), (1, 1, 9), (2, 2, 5), (3, 1, 1), (4, 4, 7)))
    drawing = draw_confusion(found)
    assert (drawing.count('class="right-cell"'), drawing.count('class="wrong-cell"')) == (4, 2)
    assert "3 of 32 are wrong; cat as dog: 2; hen as dog: 1." in drawing


def test_many_classes_are_a_list_of_the_worst_pairs() -> None:
    labels = tuple(f"class {i}" for i in range(21))
    drawing = draw_confusion(Confusion("m", KEY, labels, ((0, 1, 3), (2, 3, 9), (4, 4, 50))))
    assert "<svg" not in drawing
    assert re.findall(r"<bdi>(.*?)</bdi>", drawing) == ["class 2 → class 3: 9", "class 0 → class 1: 3"]


def test_a_reliability_diagram_says_how_often_sure_answers_are_right() -> None:
    bins = (ConfidenceBin(0.6, 0.7, 0.65, Estimate(0.5, 0.2, 0.8, 10)), ConfidenceBin(0.9, 1.0, 0.97, Estimate(0.8, 0.7, 0.9, 90)))
    drawing = draw_reliability(Reliability("m", KEY, 2, bins))
    assert drawing.count('class="dot"') == 2
    assert "90 of 100 answers are given with more than 90\u202f% confidence (mean 97.0\u202f%); 80.0\u202f% of them are right." in drawing


def test_curves_end_at_the_success_of_the_attack() -> None:
    curve = QueryCurve("m", ItemKey("attack", "t", "swap"), 50, ((3, 10), (12, 25)))
    drawing = draw_queries([curve])
    assert "swap 50\u202f%" in drawing
    assert "swap breaks 25 of 50, half of them within 12 queries" in drawing


def test_robust_accuracy_over_epsilon_has_a_band_and_its_gate() -> None:
    points = [(0.0, Estimate(0.9, 0.8, 1.0)), (0.1, Estimate(0.5, 0.4, 0.6)), (0.2, Estimate(0.1, 0.0, 0.2))]
    drawing = draw_epsilon(points, "ε", Threshold(0.4, True, "pass"), 0.1)
    assert drawing.count('class="mark"') == 3
    assert "band" in drawing
    assert "hatch" in drawing
    assert "90.0\u202f% at 0, 50.0\u202f% at 0.1, 10.0\u202f% at 0.2" in drawing


def test_cost_is_stacked_by_kind_of_work() -> None:
    drawing = draw_cost({"task": 1.0, "probe": 3.0}, 8.0)
    assert re.findall(r'class="(work-\d)" x="([\d.]+)%" y="2" width="([\d.]+)%"', drawing) == [
        ("work-1", "0.00", "12.50"), ("work-3", "12.50", "37.50"),
    ]  # fmt: skip


def _card(*figures: Figure, rows: tuple[Row, ...] = ()) -> Subject:
    return Subject(Scorecard({}, rows, figures=figures, measures=MEASURES), [])


def test_charts_are_left_out_where_they_would_say_nothing() -> None:
    few = Reliability("m", KEY, 2, (ConfidenceBin(0.9, 1.0, 0.95, Estimate(0.9, 0.8, 1.0, 49)),))
    enough = replace(few, bins=(replace(few.bins[0], accuracy=Estimate(0.9, 0.8, 1.0, 50)),))
    assert [len(list(list_reliabilities(_card(found)))) for found in (few, enough)] == [0, 1]
    assert list(list_confusions(_card(Confusion("m", KEY, ("only",), ((0, 0, 3),))))) == []
    attack = ItemKey("attack", "t", "pgd")
    strengths = tuple(Row("m", attack, "robust_accuracy", "robustness", Estimate(0.5, 0.4, 0.6), about=e) for e in ("0.1", "0.2", "0.3"))
    assert [len(list(list_attack_figures(_card(rows=rows), list(rows)))) for rows in (strengths[:2], strengths)] == [0, 1]


def test_a_model_that_is_too_sure_is_called_so() -> None:
    def title(confidence: float) -> str:
        bins = (ConfidenceBin(0.9, 1.0, confidence, Estimate(0.8, 0.7, 0.95, 80)),)
        return next(list_reliabilities(_card(Reliability("m", KEY, 2, bins)))).title

    assert [title(c).split(": ")[1] for c in (0.99, 0.93, 0.6)] == ["too sure", "as sure as right", "not sure enough"]
