"""The end of a run in the terminal: few lines by default, all rows on request."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.scorecard import Estimate, GateResult, Row, Scorecard
from windtunnel.harness.cli.scorecard_text import MOST_LINES, format_files, format_scorecard
from windtunnel.harness.scorecard.gates import Gate, check_gates, decide_verdict

RATE = Estimate(0.8053, 0.7417, 0.859, 190)


def make_card(num_items: int = 2, num_gates: int = 1, num_flags: int = 0) -> Scorecard:
    keys = [ItemKey("task", f"task{i}") for i in range(num_items)]
    base = keys[0] if keys else ItemKey("task", "none")
    derived = ItemKey("shift", "task0", "explanation_shift", about=(replace(base, kind="probe", program="occlusion"), base))
    rows = [Row("bert", key, metric, "quality", RATE) for key in (derived, *keys) for metric in ("accuracy", "f1_macro")]
    card = Scorecard({"flags": [f"flag {i}" for i in range(num_flags)], "digest": "abc"}, tuple(rows), num_samples=190)
    gates = check_gates([Gate.parse(f"task0.accuracy >= 0.7{i}", "warn") for i in range(num_gates)], card)
    return replace(card, gates=gates, verdict=decide_verdict(gates))


@pytest.mark.parametrize("size", [(1, 0, 0), (14, 3, 1), (200, 9, 50), (200, 0, 0), (2, 9, 0)])
def test_the_end_of_a_run_fits_on_a_screen(size: tuple[int, int, int]) -> None:
    card = make_card(*size)
    lines = format_scorecard(card).splitlines()
    assert len(lines) < MOST_LINES, "a last line says where the page is"
    assert lines[0].startswith(f"{card.verdict.upper()}: ")
    assert sum(line.startswith("gate ") for line in lines) == min(size[1], 4)
    shown = sum(bool(re.match(r"bert  task\d+ ", line)) for line in lines)
    left = [line for line in lines if line.endswith("more items; --rows prints all")]
    assert shown == size[0] or left == [f"… and {size[0] + 1 - shown} more items; --rows prints all"], "derived items are left out first"
    assert ("… and 47 more notes; --rows prints all" in lines) == (size[2] == 50)


def test_the_end_of_a_run_quotes_the_first_error() -> None:
    card = replace(make_card(200), num_failed=2, first_error="bert/task0: KeyError: \n" + "no such field " * 99)
    lines = format_scorecard(card).splitlines()
    assert len(lines) < MOST_LINES
    assert lines[-2].startswith("the first error: bert/task0: KeyError: \\nno such field ")
    assert len(lines[-2]) < 330
    assert lines[-1] == "190 samples, 2 records with an error; digest: abc"


def test_all_rows_are_printed_on_request() -> None:
    lines = format_scorecard(make_card(200, 9, 50), rows=True).splitlines()
    assert sum("f1_macro" in line for line in lines) == 201
    assert sum(line.startswith("gate ") for line in lines) == 9
    assert sum(line.startswith("note: ") for line in lines) == 50


def test_columns_are_aligned_and_a_reason_stands_below_an_undecided_gate() -> None:
    card = make_card(12, 6)
    lines = format_scorecard(card).splitlines()
    gates = [line for line in lines if line.startswith("gate ")]
    items = [line for line in lines if line.startswith("bert ")]
    assert len({line.index("n = 190") for line in gates}) == len({line.index("[0.7417") for line in items}) == 1
    assert gates[0].startswith("gate inconclusive (counts as warn)  task0.accuracy  >= 0.75  0.8053  [0.7417, 0.859]  n = 190  bert")
    assert lines[lines.index(gates[0]) + 1].startswith("     0.75 lies inside the interval; about ")


def test_what_has_no_value_says_why_and_text_stays_one_line() -> None:
    row = Row("bert", ItemKey("task", "x\n::error::y"), "accuracy", "quality", Estimate(None, n_unscored=3, reason="no\nclass"))
    card = Scorecard({}, (row,), gates=(GateResult("a gate of\nanother kind", "no_data", "no_data", "nothing"),), verdict="no_data")
    text = format_scorecard(card)
    assert "not scored" in text
    assert "n = 0, 3 not scored  no\\nclass" in text
    assert not any(line.startswith("::") for line in text.splitlines())


def test_where_the_page_is() -> None:
    folder = Path("/runs/r")
    page, others = folder / "scorecard.html", [folder / "results.json", folder / "junit.xml"]
    assert format_files([others[0], page, others[1]]) == "page: /runs/r/scorecard.html  (beside it: results.json, junit.xml)"
    assert format_files(others) == "reports in /runs/r: results.json, junit.xml"
    assert format_files([page]) == "page: /runs/r/scorecard.html"
