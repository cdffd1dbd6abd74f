"""The gate that explains a verdict is one that decides it."""

from __future__ import annotations

import pytest
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.scorecard import Estimate, GateResult, Row, Scorecard
from windtunnel.harness.scorecard.gates.readings import explain_verdict, read_gates

ROW = Row("m", ItemKey("task", "t"), "accuracy", "quality", Estimate(0.9, 0.8, 0.95, 60))
PASS = GateResult("t.accuracy >= 0.5", "pass", "pass", "")
REPORTED = GateResult("t.accuracy >= 0.99", "fail", "pass", "", "advisory")
OPEN = GateResult("t.accuracy >= 0.85", "inconclusive", "fail", "")
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
