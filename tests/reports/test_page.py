"""The page's sections: what each shows of a scorecard, and in which order."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files

import pytest
from windtunnel.harness.api.comparison import Comparison, Flip, RowChange
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.scorecard import Estimate, GateResult, JudgedRow, Measure, Row, Scorecard, Session
from windtunnel.harness.scorecard.gates import Gate, check_gates, decide_verdict
from windtunnel.harness.scorecard.gates.readings import choose_deciding
from windtunnel.reports.charts.svg import RATES
from windtunnel.reports.html import Html
from windtunnel.reports.page.cards import make_cards
from windtunnel.reports.page.comparison import make_comparisons
from windtunnel.reports.page.dimensions import make_dimensions
from windtunnel.reports.page.explanations import judge_controls
from windtunnel.reports.page.gates import make_tables, read_gates
from windtunnel.reports.page.rows import Subject
from windtunnel.reports.page.sessions import describe_sessions
from windtunnel.reports.page.tables import Glossary
from windtunnel.reports.page.verdict import make_verdict
from windtunnel.reports.values import format_bounds, format_number, format_percent
from windtunnel.tests.scorecards import MEASURES, key, rich

RATE = Estimate(0.8, 0.7, 0.9, 100)


def _subject(*rows: Row, gates: tuple[GateResult, ...] = (), **facts: object) -> Subject:
    card = Scorecard({}, rows, gates, measures=MEASURES, **facts)  # type: ignore[arg-type]
    return Subject(card, read_gates(card))


def _row(metric: str = "accuracy", estimate: Estimate = RATE, **facts: object) -> Row:
    fields = {"model": "m", "key": key("t"), "metric": metric, "dimension": "quality", "estimate": estimate, **facts}
    return Row(**fields)  # type: ignore[arg-type]


def _subject_of(*rows: Row, gates: tuple[str, ...], **facts: object) -> Subject:
    """A scorecard with its gates checked."""
    card = Scorecard({}, rows, measures=MEASURES, **facts)  # type: ignore[arg-type]
    checked = check_gates([Gate.parse(gate, "warn") for gate in gates], card)
    card = replace(card, gates=checked, verdict=decide_verdict(checked))
    return Subject(card, read_gates(card))


def _drop(slice: str, outcome: str, value: float, half: float = 0.02) -> JudgedRow:
    """A row of a gate against a baseline."""
    detail = f"{value:+.4g}: the interval holds both more and less than that; about 300 samples would decide it"
    name = f"accuracy[{slice}]" if slice else "accuracy"
    return JudgedRow("m", "t", name, outcome, value, value - half, value + half, 100, -0.02, detail, 0.8, ">=")


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.19, "0.190"), (2.318, "2.32"), (19.78, "19.8"), (105.157, "105"), (2570.2, "2,570"), (-0.017, "−0.017"), (2e-07, "2.0e-07"),
     (0, "0.000")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert format_number(value) == shown


def test_rates_are_percent() -> None:
    assert [format_percent(share) for share in (0, 1, 0.80526, 0.9996)] == ["0\u202f%", "100\u202f%", "80.5\u202f%", "100.0\u202f%"]
    assert format_bounds(RATE, True) == "70.0 to 90.0\u202f%"
    assert format_bounds(Estimate(0.5), True) == ""


# ── verdict ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [("pass", "Yes, by its gates"), ("fail", "No"), ("warn", "Yes, with a warning"), ("no_data", "Cannot say"),
     ("none", "Nothing was asked"), ("incomplete", "Not finished")],
)  # fmt: skip
def test_the_answer_is_that_of_the_verdict(verdict: str, answer: str) -> None:
    assert make_verdict(_subject(verdict=verdict)).answer == answer


def test_an_open_gate_says_how_far_its_interval_reaches() -> None:
    found = make_verdict(_subject_of(_row(), gates=("t.accuracy >= 0.75",)))
    assert found.answer == "Not decided yet"
    assert found.reason == (
        "The gate is open. Accuracy on t: m has 80.0\u202f% and at least 75\u202f% is asked for, "
        "but the 95 % interval reaches down to 70.0\u202f%."
    )
    assert "75\u202f% lies inside the interval; about 401 samples would decide it." in found.then
    assert "exit code 0" in found.then
    assert "asked: 75\u202f%" in found.drawing


def test_the_gate_that_decides_is_the_worst_one() -> None:
    rows = (_row(), _row("robust_accuracy", Estimate(0.3, 0.2, 0.4, 50), key=key("t", "swap"), dimension="robustness"))
    gates = ("t.accuracy >= 0.1", "t.accuracy >= 0.69", "swap(t).robust_accuracy >= 0.6", "swap(t).robust_accuracy >= 0.9")
    order = [reading.result.gate for reading in _subject_of(*rows, gates=gates).readings]
    assert order == [gates[3], gates[2], gates[1], gates[0]]
    for some, best in ((gates, gates[3]), (gates[:2], gates[1])):
        deciding = choose_deciding(_subject_of(*rows, gates=some).readings)
        assert deciding is not None
        assert deciding.result.gate == best


def test_the_lowest_robust_accuracy_that_no_gate_reads_is_noted() -> None:
    attacked = [
        _row("robust_accuracy", Estimate(value, value, value, 50), key=key("t", name), dimension="robustness")
        for name, value in (("swap", 0.05), ("drop", 0.4))
    ]
    assert [note.sentence for note in make_verdict(_subject(*attacked)).notes] == ["Swap on t leaves m 5.0\u202f% right."]
    gated = _subject_of(*attacked, gates=("swap(t).robust_accuracy >= 0.6",))
    assert [note.sentence for note in make_verdict(gated).notes] == ["Drop on t leaves m 40.0\u202f% right."]


def test_a_partial_set_of_data_is_told_beside_the_verdict() -> None:
    card = Scorecard(
        {"data": {"t": {"cautions": ["the first 200 of 10,662 samples are of 1 of 2 classes (a), so the numbers say nothing of b"]}}}, ()
    )
    (note,) = make_verdict(Subject(card, [])).notes
    assert note.sentence == "t: the first 200 of 10,662 samples are of 1 of 2 classes (a)"


# ── cards ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_card_has_every_dimension_the_worst_attack_and_each_row_of_a_gate() -> None:
    rows = (
        _row(),
        *(
            _row("robust_accuracy", Estimate(value, value, value, 50), key=key("t", name), dimension="robustness", higher_is_better=True)
            for name, value in (("mild", 0.7), ("worst", 0.1), ("gated", 0.4))
        ),
    )
    subject = _subject_of(*rows, gates=("gated(t).robust_accuracy >= 0.6",))
    (card,) = make_cards(subject, Glossary(MEASURES, "h"))
    assert (card.icon, card.status) == ("fail", "Its gate fails")
    text = Html().render(subject.card)
    assert "gate: the hatched side fails</span>" in text
    assert "random control</span>" not in text, "the legend names only what is drawn"
    scores = {part.title: [score.term.word for score in part.scores] for part in card.parts}
    assert scores == {
        "Quality": ["Accuracy on t"], "Calibration": [], "Robustness": ["Robust accuracy under worst", "Robust accuracy under gated"],
        "Safety": [], "Interpretability": [], "Efficiency": [],
    }  # fmt: skip


def test_a_card_compares_no_numbers_of_different_metrics() -> None:
    facts = {"dimension": "interpretability", "higher_is_better": True}
    moved = _row("rank_correlation", Estimate(0.1, 0.0, 0.2, 50), key=key("t", "shift"), **facts)
    probes = [_row("comprehensiveness", Estimate(v, v, v, 50), key=key("t", name), **facts) for name, v in (("ig", 0.5), ("worst", 0.3))]
    (card,) = make_cards(_subject(moved, *probes), Glossary(MEASURES, "h"))
    assert [score.value for part in card.parts for score in part.scores] == ["0.300"]


def test_a_baseline_has_the_rows_of_its_models_card_and_no_gate() -> None:
    rows = (_row(), _row("f1", Estimate(0.6, 0.5, 0.7, 100)), _row("robust_accuracy", dimension="robustness", key=key("t", "swap")))
    gates = ("t.accuracy >= 0.95", "t.f1 >= 0.5")
    time = _row("seconds_per_sample", Estimate(0.02, 0.01, 0.04, 5), dimension="efficiency")
    changes = tuple(RowChange(row, Estimate(0.4, 0.3, 0.5, 90), Estimate(0.1, 0.0, 0.2, 90), verdict="better") for row in rows[:2])
    subject = _subject_of(*rows, gates=gates)
    comparisons = (Comparison("baseline: <b>old</b>", "m", changes),)
    of_baseline = (replace(time, model="<b>old</b>", estimate=Estimate(0.1, None, None, 5)),)
    card = replace(subject.card, times=(time,), comparisons=comparisons, baseline_times=of_baseline)
    own, baseline = make_cards(Subject(card, subject.readings), Glossary(MEASURES, "h"))
    assert (own.model, own.is_baseline, own.icon) == ("m", False, "fail")
    assert (baseline.model, baseline.is_baseline, baseline.icon, baseline.status, baseline.on) == (
        "<b>old</b>", True, "none", "Baseline", "t (90)",
    )  # fmt: skip
    values = [[(part.title, [score.value for score in part.scores]) for part in one.parts if part.scores] for one in (own, baseline)]
    assert values == [
        [("Quality", ["80.0\u202f%", "0.600"]), ("Robustness", ["80.0\u202f%"]), ("Efficiency", ["50.0 samples/s"])],
        [("Quality", ["40.0\u202f%", "0.400"]), ("Efficiency", ["10 samples/s"])],
    ]
    assert own.parts[-1].scores[0].below == "25.0 to 100 · no gate should rest on it"
    assert not any(score.icon or score.change for part in baseline.parts for score in part.scores)
    text = Html().render(card)
    assert text.count('class="card baseline"') == 1
    assert "<b>old</b>" not in text


# ── gates and dimensions ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_gate_is_told_in_words_with_its_threshold() -> None:
    (reading,) = _subject_of(_row(), gates=("t.accuracy.low >= 0.65",)).readings
    (line,) = reading.lines
    assert reading.title == "Accuracy on t is at least 65\u202f%, at its lower end"
    assert line.reason == "The lower end is above 65\u202f%."
    assert 'class="hatch" x="2.00%" y="4" width="62.40%"' in reading.draw(line)


def test_a_gate_on_a_number_that_is_no_rate_has_no_bar() -> None:
    (reading,) = _subject_of(_row("loss", Estimate(1.5, 1.0, 2.0, 9)), gates=("t.loss <= 1.2",)).readings
    (line,) = reading.lines
    assert (line.value, line.bounds, reading.draw(line)) == ("1.50", "1.00 to 2.00", "")
    assert "asked: 1.2" in make_verdict(_subject_of(line.row or _row(), gates=("t.loss <= 1.2",))).drawing


def test_a_gate_on_the_number_of_samples_is_told() -> None:
    subject = _subject_of(_row(), gates=("t.accuracy.n >= 200",))
    assert subject.readings[0].title == "Accuracy on t has at least 200 samples"
    assert make_verdict(subject).reason == "The gate fails. Accuracy on t: m has 100, and at least 200 is asked for."


def test_a_change_is_drawn_with_the_allowed_drop_around_zero() -> None:
    result = GateResult("t.accuracy worse by at most 0.02", "fail", "fail", "m: worse", rows=(_drop("", "fail", -0.06),))
    subject = _subject(_row(), gates=(result,), verdict="fail")
    (table,) = make_tables(subject.readings)
    (reading,) = table.readings
    assert reading.title == "Accuracy on t may drop by 2 points against the baseline"
    assert (table.kind, reading.axis.low, reading.axis.high) == ("change", -0.1, 0.1)
    assert ">+10<" in table.axis
    bar = reading.draw(reading.lines[0])
    assert f'class="hatch" x="{reading.axis.percent(-0.1)}"' in bar, "the failing side is below the allowed drop"
    assert f'class="rule" x1="{reading.axis.percent(0.0)}"' in bar
    found = make_verdict(subject)
    assert found.reason == (
        "The gate fails. Accuracy on t: m changes by −6.0 points (−8.0 to −4.0 points) against the baseline's 80.0\u202f%, "
        "and may drop by 2 points."
    )
    assert "allowed: −2 points" in found.drawing
    assert "baseline 80.0\u202f%" in Html().render(subject.card)


def test_an_allowed_share_of_the_baseline_has_few_digits() -> None:
    row = replace(_drop("", "pass", 0.0), threshold=0.002365859594, op="<=")
    result = GateResult("t.accuracy worse by at most 25 %", "pass", "pass", "m: same", rows=(row,))
    (reading,) = _subject(_row(), gates=(result,), verdict="pass").readings
    assert reading.first is not None
    assert reading.first.target == "may rise by 0.2366 points"


def test_slices_of_a_gate_are_bars_on_one_axis_the_worst_first() -> None:
    rows = (_drop("short", "pass", 0.01), _drop("long", "fail", -0.06), _drop("odd", "inconclusive", -0.02))
    result = GateResult("t.accuracy worse by at most 0.02 on every slice", "fail", "fail", "1 of 3 rows pass", rows=rows)
    subject = _subject(*(_row(slice=name) for name in ("short", "long", "odd")), gates=(result,), verdict="fail")
    (reading,) = subject.readings
    assert reading.title == "Accuracy on t, on every slice, may drop by 2 points against the baseline"
    assert [line.name for line in reading.shown] == ["long", "odd", "short"]
    assert reading.tally == "3 rows: 1 fail, 1 inconclusive, 1 pass"
    assert [subject.get_gate(row)[0] for row in subject.card.rows] == ["pass", "fail", "open"]
    text = Html().render(subject.card)
    assert text.count('<tr class="member">') == 3


def test_models_are_columns() -> None:
    rows = [_row(model=model, estimate=Estimate(value, value - 0.1, value + 0.05, 9)) for model, value in (("a", 0.8), ("b", 0.6))]
    (quality,) = make_dimensions(_subject(*rows), Glossary(MEASURES, "h"))
    assert quality.table is not None
    assert [column.title for column in quality.table.columns] == ["a", "b"]
    ((_, (line,)),) = quality.table.groups
    assert [cell.text for cell in line.cells] == ["80.0\u202f%", "60.0\u202f%"]


def test_slices_are_columns_beside_the_whole() -> None:
    rows = [_row(), _row(slice="short", estimate=Estimate(0.5)), _row(slice="long", estimate=Estimate(0.25))]
    (quality,) = make_dimensions(_subject(*rows), Glossary(MEASURES, "h"))
    (fold,) = [fold for fold in quality.folds if fold.title == "By slice"]
    assert [column.title for column in fold.tables[0].columns] == ["all", "short", "long"]


def test_controls_are_columns_and_judged_by_paired_differences() -> None:
    probe = ItemKey("probe", "t", "occlusion")
    rows = [
        _row("comprehensiveness", Estimate(value, low, high, 9), key=probe, dimension="interpretability", control=control,
             higher_is_better=True)
        for control, value, low, high in (
            ("", 0.6, 0.5, 0.7), ("random", 0.2, 0.1, 0.3), ("randomised", 0.1, 0.0, 0.2), ("minus_random", 0.4, 0.3, 0.5),
            ("minus_randomised", 0.5, -0.1, 0.6),
        )
    ]  # fmt: skip
    subject = _subject(*rows)
    (found,) = make_dimensions(subject, Glossary(MEASURES, "h"))
    assert found.table is not None
    ((_, (line,)),) = found.table.groups
    assert [cell.text for cell in line.cells] == ["0.600", "0.500 to 0.700", "0.200", "0.100", "", "not told apart", "9"]
    assert found.folds == ()
    better = replace(rows[-1], estimate=Estimate(0.5, 0.1, 0.6, 9))
    assert judge_controls(_subject(*rows[:-1], better), rows[0]) == ("ok", "beats both")


def test_page_shows_why_a_value_is_missing() -> None:
    text = Html().render(Scorecard({}, (Row("m", key("t"), "bleu", "quality", Estimate(None, n_unscored=7, reason="no references")),)))
    row = re.search(r'<th scope="row"><bdi>bleu.*?</tr>', text, re.DOTALL)
    assert row is not None
    assert "not scored" in row[0]
    assert "no references" in row[0]
    assert "7 not scored" in row[0]
    assert "<svg" not in row[0]


def test_every_row_of_a_scorecard_is_on_the_page() -> None:
    """No number is left out: the page has the value of each row, but not those of paired differences, which have a word."""
    names = {
        "quality": ("accuracy", "other"), "calibration": ("ece",),
        "robustness": ("robust_accuracy", "clean_accuracy", "mean_l2", "other_r"),
        "safety": ("unsafe_rate",), "interpretability": ("comprehensiveness", "carried"), "efficiency": ("forward_passes", "drift"),
        "fairness": ("gap",),
    }  # fmt: skip
    keys = (key("t"), key("t", "swap"), ItemKey("probe", "t", "occlusion"), ItemKey("shift", "t", "shift", about=(key("t", "swap"),)))
    parts = ({}, {"slice": "short"}, {"about": "negative"}, {"control": "random"}, {"control": "random", "slice": "short"})
    all_parts = [(d, name, item, part) for d, found in names.items() for name in found for item in keys for part in parts]
    rows = [
        _row(name, Estimate(1000.0 + number), key=item, dimension=dimension, **part)
        for number, (dimension, name, item, part) in enumerate(all_parts)
    ]
    measures = {name: Measure(name, "A sentence.", True) for found in names.values() for name in found}
    text = Html().render(Scorecard({}, tuple(rows), measures=measures))
    missing = [(row.item, row.name) for row in rows if f"{row.estimate.value:,.0f}" not in text]
    assert missing == []


def test_page_has_what_was_run() -> None:
    text = Html().render(rich())
    for told in (
        "sha256:5d1e6a90c3", "truncates at 512 tokens", "the model gives no gradients", "Gradients vanish", "83.2", "counts as a warning",
    ):  # fmt: skip
        assert told in text


def test_the_page_says_when_how_and_where_it_was_computed() -> None:
    host = {"system": "Linux x86_64", "processor": "Some CPU", "cores": 2, "memory": 8 * 2**30, "gpus": "2 × Some GPU"}
    killed = Session("2026-11-30T23:58:00+00:00", "", "windtunnel run <b>.yaml", host)
    last = Session("2026-12-01T08:00:00+00:00", "2026-12-01T08:05:00+00:00", "windtunnel run a.yaml --hf-token ***", host)
    facts = dict(describe_sessions([killed, last]))
    assert facts == {
        "date": "30 November 2026, 23:58 to 1 December 2026, 08:05 UTC, in 2 sessions",
        "command": "windtunnel run a.yaml --hf-token ***",
        "machine": "Some CPU, 2 cores, 8 GiB, 2 × Some GPU, Linux x86_64",
    }
    assert dict(describe_sessions([killed]))["date"].endswith("the end is not known, because the process was killed")
    text = Html().render(Scorecard({"digest": "a" * 64, "versions": {"torch": "2.9"}}, (), sessions=(killed, last)))
    for told in (facts["date"], "<code>windtunnel run a.yaml", "&lt;b&gt;.yaml", "a" * 64, "torch 2.9", "Sessions (2)"):
        assert told in text
    assert list(describe_sessions([])) == []


def test_a_gate_on_a_part_of_the_data_says_so() -> None:
    caution = "the first 200 of 10,662 samples are of 1 of 2 classes (a)"
    subject = _subject_of(_row(), gates=("t.accuracy >= 0.5",))
    card = replace(subject.card, manifest={"data": {"t": {"cautions": [f"{caution}, so the numbers say nothing of b"]}}})
    (reading,) = read_gates(card)
    assert reading.cautions == (caution,)
    assert Html().render(card).count(caution) == 2, "beside the verdict and at the gate"


def test_an_empty_page_is_small() -> None:
    assert len(Html().render(Scorecard({}, ()))) < 150_000


def test_help_says_what_a_metric_is_how_it_is_called_and_how_it_is_computed() -> None:
    text = Html().render(rich())
    popover = re.search(r'<div popover id="help-1">.*?</div>', text, re.DOTALL)
    assert popover is not None
    assert "Share of samples whose predicted class is the target." in popover[0]
    assert "<code>accuracy</code>" in popover[0]
    assert 'href="#how-accuracy"' in popover[0]
    assert '<div id="how-accuracy">' in text


def test_a_gate_on_several_models_has_an_outcome_on_each() -> None:
    rows = (_row(model="good", estimate=Estimate(0.9, 0.85, 0.95, 50)), _row(model="bad", estimate=Estimate(0.5, 0.4, 0.6, 50)))
    subject = _subject_of(*rows, gates=("t.accuracy >= 0.75",))
    (reading,) = subject.readings
    assert [line.name for line in reading.shown] == ["bad", "good"]
    assert [subject.get_gate(row) for row in rows] == [("pass", "Pass"), ("fail", "Fail")]
    assert [card.icon for card in make_cards(subject, Glossary(MEASURES, "h"))] == ["pass", "fail"]
    assert 'class="strip pass"' in subject.draw(rows[0], RATES)


# ── comparison ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_comparison_shows_what_is_worse_first_and_folds_the_rest() -> None:
    def change(metric: str, verdict: str, value: float, p_value: float) -> RowChange:
        row = _row(metric, Estimate(0.7, 0.6, 0.8, 90), model="new")
        return RowChange(row, Estimate(0.9, 0.8, 0.95, 90), Estimate(value, value - 0.1, value + 0.1, 90), p_value, p_value, verdict)

    rows = (
        change("accuracy", "better", 0.2, 0.01),
        change("robust_accuracy", "worse", -0.2, 0.002),
        change("other", "no change shown", 0.0, 1.0),
    )
    flips = (Flip(key("t"), "t/1", "regressed", "<b>yes</b>", "no", "yes"),)
    card = Scorecard({}, (_row(model="old"),), comparisons=(Comparison("old", "new", rows, flips),), measures=MEASURES)
    (note,) = make_verdict(Subject(card, [])).notes
    assert note.sentence == "new is worse than old in 1 row, first in robust accuracy on t."
    (found,) = make_comparisons(Subject(card, []), Glossary(MEASURES, "h"))
    assert found.tally == (("worse", "worse on 1"), ("better", "better on 1"), ("same", "no change shown on 1"))
    assert found.table is not None
    ((_, lines),) = found.table.groups
    assert [line.term.word for line in lines] == ["Robust accuracy", "Accuracy"]
    assert [cell.text for cell in lines[1].cells] == [
        "better", "90.0\u202f%", "70.0\u202f%", "+20.0 points", "+10.0 to +30.0 points", "", "0.01", "90",
    ]  # fmt: skip
    assert [cell.bar.count('class="strip fail"') for cell in lines[0].cells][5] == 1
    (score, *_) = make_cards(Subject(replace(card, rows=(_row(model="new"),)), []), Glossary(MEASURES, "h"))[0].parts[0].scores
    assert score.change is not None
    assert (score.change.icon, score.change.text, score.change.was) == (
        "better", "+20.0 points (+10.0 to +30.0 points)", "90.0\u202f%",
    )  # fmt: skip
    assert [fold.title for fold in found.folds] == ["1 row without a shown change", "1 flip"]
    text = Html().render(card)
    assert '<a href="#comparison">Comparison</a>' in text
    assert "&lt;b&gt;yes&lt;/b&gt;" in text
    assert 'id="comparison"' not in Html().render(rich())


def _list_styled(name: str) -> set[str]:
    """Return the classes that a style sheet styles anywhere on the page."""
    text = re.sub(r"/\*.*?\*/", "", (files("windtunnel.reports") / "assets" / name).read_text("utf-8"), flags=re.DOTALL)
    selectors = [selector.strip() for group in re.findall(r"([^{}]+)\{", text) for selector in group.split(",")]
    return {selector for selector in selectors if re.fullmatch(r"\.[\w-]+", selector)}


def test_scorecard_and_explorer_style_no_class_of_each_other() -> None:
    """A height for a chart would squeeze the pictures of samples."""
    assert not _list_styled("scorecard.css") & _list_styled("explorer.css")
