"""The verdict of a gate by its tier, of a run by its gates, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable

from ...api.scorecard import GateResult
from .gate import Gate

VERDICTS = ("pass", "warn", "no_data", "missing", "fail")
"""From the best to the worst."""


def judge_outcome(gate: Gate, outcome: str, /) -> str:
    """Return the verdict of an outcome: what the gate says of it, made milder by its tier."""
    meant = {"inconclusive": gate.inconclusive, "missing": gate.missing}.get(outcome, outcome)
    if gate.tier == "advisory":
        return "pass"
    return meant if gate.tier == "critical" or meant == "pass" else "warn"


def decide_verdict(results: Iterable[GateResult]) -> str:
    """Return the worst verdict, in the order fail, missing, no_data, warn, pass; ``none`` if there are no gates."""
    verdicts = {r.verdict for r in results}
    return next((v for v in reversed(VERDICTS) if v in verdicts), "none")


def exit_code(verdict: str, complete: bool) -> int:
    """Return the exit code: 0 for pass, 1 if a gate failed, 3 if the run is incomplete or a gate lacks its data."""
    if verdict == "fail":
        return 1
    return 3 if verdict in ("no_data", "missing") or not complete else 0
