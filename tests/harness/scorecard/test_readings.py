"""The gate that explains a verdict is one that decides it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.scorecard import Estimate, GateResult, JudgedRow, Row, Scorecard
from windtunnel.harness.scorecard.gates import Gate, check_gates, parse_entry
from windtunnel.harness.scorecard.gates.readings import explain_verdict, read_gates

ROW = Row("m", ItemKey("task", "t"), "accuracy", "quality", Estimate(0.9, 0.8, 0.95, 60))
PASS, OPEN = check_gates([Gate.parse("t.accuracy >= 0.5"), Gate.parse("t.accuracy >= 0.85")], Scorecard({}, (ROW,)))
(REPORTED,) = check_gates([replace(Gate.parse("t.accuracy >= 0.99"), tier="advisory")], Scorecard({}, (ROW,)))
MISSING = GateResult("u.accuracy >= 0.5", "missing", "missing", "no such row")


@pytest.mark.parametrize(
    ("gates", "verdict", "begins"),
    [
        ((MISSING, OPEN, PASS), "fail", "1 of 3 gates is inconclusive: t.accuracy of m is 0.9"),
        ((MISSING, PASS), "missing", "1 of 2 gates is missing: u.accuracy >= 0.5"),
        ((REPORTED, PASS), "pass", "1 of 2 gates pass, the narrowest: t.accuracy of m"),
        ((PASS, PASS), "pass", "All 2 gates pass, the narrowest"),
        ((PASS,), "pass", "The gate passes: t.accuracy of m"),
    ],
)
def test_the_reason_is_about_the_gate_that_decides(gates: tuple[GateResult, ...], verdict: str, begins: str) -> None:
    card = Scorecard({}, (ROW,), gates, verdict)
    assert explain_verdict(card, read_gates(card)).startswith(begins)


def test_a_change_is_told_with_the_allowed_one() -> None:
    row = JudgedRow("m", "t", "accuracy", "fail", -0.06, -0.08, -0.04, 100, -0.02, "worse", 0.8, ">=")
    other = replace(row, metric="accuracy[long]", value=-0.09, low=-0.11, high=-0.07)
    card = Scorecard({}, (ROW,), (GateResult("t.accuracy worse by at most 0.02", "fail", "fail", "", rows=(row, other)),), "fail")
    (reading,) = read_gates(card)
    assert (reading.path, reading.asked, [r.metric for r in reading.rows]) == (
        "t.accuracy[long]", "may drop by 0.02", ["accuracy[long]", "accuracy"],
    )  # fmt: skip
    assert explain_verdict(card, [reading]) == (
        "The gate fails: t.accuracy[long] of m changed by -0.09 (-0.11 to -0.07, n = 100) against the baseline's 0.8, may drop by 0.02."
    )


def test_a_slice_that_does_not_exist_is_told_with_those_that_do() -> None:
    sliced = tuple(replace(ROW, slice=name) for name in "ab")
    (result,) = check_gates([parse_entry({"check": "t.accuracy >= 0.5", "slice": "c"})], Scorecard({}, (ROW, *sliced)))
    assert (result.outcome, result.detail) == ("missing", "'t' has no slice 'c'. It has a, b")
    (result,) = check_gates([parse_entry({"check": "t.accuracy >= 0.5", "slices": "every"})], Scorecard({}, (ROW,)))
    assert result.detail == "'t' has no slices. Its data has none; name their column with the task's key 'slice'"
