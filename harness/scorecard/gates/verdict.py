"""The verdict of a gate by its tier, of a run by its gates, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable

from ...api.scorecard import GateResult
from .gate import Gate

VERDICTS = ("pass", "warn", "no_data", "missing", "incomplete", "fail")
"""From the best to the worst. A run without gates has the verdict ``none``, unless it is incomplete or an item failed on most samples."""

_EXIT_CODES = {"none": 0, "pass": 0, "warn": 0, "fail": 1}
"""The exit codes of verdicts; all others, which decide nothing, have 3."""


def judge_outcome(gate: Gate, outcome: str, /) -> str:
    """Return the verdict of an outcome: what the gate says of it, made milder by its tier."""
    meant = {"inconclusive": gate.inconclusive, "missing": gate.missing}.get(outcome, outcome)
    if gate.tier == "advisory":
        return "pass"
    return meant if gate.tier == "critical" or meant == "pass" else "warn"


def rate_gate(result: GateResult, /) -> str:
    """Return how a gate counts as a test: ``passed``, ``failed`` if it stops the release, else ``warned``."""
    if exit_code(result.verdict):
        return "failed"
    return "passed" if result.outcome == result.verdict == "pass" else "warned"


def decide_verdict(results: Iterable[GateResult], *, complete: bool = True, mostly_failed: bool = False) -> str:
    """Return the verdict of a run, the worst of its gates and facts; every report and the exit code follow from it alone.

    ``results``: its gates. ``complete``, ``mostly_failed``: as of `Scorecard`.
    """
    found = {result.verdict for result in results}
    found |= {verdict for verdict, holds in (("incomplete", not complete), ("no_data", mostly_failed)) if holds}
    return next((verdict for verdict in reversed(VERDICTS) if verdict in found), "none")


def exit_code(verdict: str, /) -> int:
    """Return the exit code of a verdict: 0, 1 if a gate failed, 3 if the run is incomplete or lacks data."""
    return _EXIT_CODES.get(verdict, 3)
