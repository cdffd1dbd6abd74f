"""Gates beside the rows that they read, the gate that decides, and the verdict with its reason in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...api.errors import ConfigError
from ...api.scorecard import Estimate, GateResult, Row, Scorecard
from .gate import Gate
from .judgement import Threshold
from .verdict import VERDICTS

OUTCOMES = ("fail", "missing", "no_data", "inconclusive", "pass")
"""The outcomes of gates, first those that people must see first."""

_HAVE: Mapping[str, tuple[str, str]] = {
    "fail": ("fails", "fail"), "no_data": ("has no data", "have no data"), "missing": ("is missing", "are missing"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """A gate with the rows that it reads.

    ``result``: its result. ``asks``: its condition; None if it has none on a number.
    ``row``: the row that is the farthest on the wrong side, or the least on the right one; None if there is none.
    ``num_rows``: the number of rows that it reads.
    """

    result: GateResult
    asks: Threshold | None = None
    row: Row | None = None
    num_rows: int = 0

    @property
    def asked(self) -> str:
        """The threshold, as written: ``>= 0.75``."""
        return f"{self.asks.op} {self.asks.number:g}" if self.asks is not None else ""

    @property
    def path(self) -> str:
        """What the gate reads: ``reviews.accuracy.low``."""
        return self.result.gate.rpartition(self.asks.op)[0].strip() if self.asks is not None else self.result.gate

    @property
    def margin(self) -> float:
        """How far the row's value lies on the right side of the threshold, in half lengths of its interval."""
        return _measure_margin(self.asks, self.row.estimate) if self.asks is not None and self.row is not None else 0.0


def read_gates(card: Scorecard, /) -> list[Reading]:
    """Return the gates with their rows: the worst verdict first, then in the order of `OUTCOMES`, then the smallest margin."""
    readings = [_read(result, card) for result in card.gates]
    verdicts, outcomes = ({name: place for place, name in enumerate(names)} for names in (reversed(VERDICTS), OUTCOMES))
    return sorted(readings, key=lambda r: (verdicts.get(r.result.verdict, 0), outcomes.get(r.result.outcome, 0), r.margin))


def _read(result: GateResult, card: Scorecard) -> Reading:
    try:
        gate = Gate.parse(result.gate)
    except ConfigError:
        return Reading(result)
    asks = gate.threshold
    if asks is None:
        return Reading(result)
    rows = gate.find_rows(card)
    return Reading(result, asks, min(rows, key=lambda row: _measure_margin(asks, row.estimate), default=None), len(rows))


def _measure_margin(asks: Threshold, e: Estimate) -> float:
    if e.value is None:
        return float("-inf")
    distance = e.value - asks.number if asks.op in (">=", ">") else asks.number - e.value
    half = (e.high - e.low) / 2 if e.low is not None and e.high is not None else 0.0
    return distance / half if half > 0 else distance


def explain_verdict(card: Scorecard, readings: Sequence[Reading], /) -> str:
    """Return why a scorecard has its verdict, in a sentence about the gate that decides.

    ``readings``: the gates of the scorecard, the deciding one first (`read_gates`).
    """
    failed = " More than half of the samples of an item failed, so that its numbers decide nothing." if card.mostly_failed else ""
    missing = "" if card.complete else " Some planned samples have no record; the same command goes on."
    return f"{_explain_gates(readings)}{failed}{missing}"


def _explain_gates(readings: Sequence[Reading]) -> str:
    if not readings:
        return "The suite has no gates, so that nothing was decided."
    num = len(readings)
    # A gate that only reports may fail, which does not explain why the run passes.
    counts = readings[0].result.verdict != "pass"
    first = next((reading for reading in readings if counts or reading.result.outcome == "pass"), readings[0])
    outcome = first.result.outcome
    if outcome == "pass":
        passed = sum(reading.result.outcome == "pass" for reading in readings)
        count = f"All {num} gates pass" if passed == num > 1 else f"{passed} of {num} gates pass" if num > 1 else "The gate passes"
        return f"{count}{', the narrowest' if num > 1 else ''}: {_describe(first)}."
    same = sum((r.result.outcome, r.result.verdict) == (outcome, first.result.verdict) for r in readings)
    verb = _HAVE.get(outcome, (f"has the outcome {outcome}", f"have the outcome {outcome}"))[same > 1]
    count = f"{same} of {num} gates {verb}" if num > 1 else f"The gate {verb}"
    return f"{count}: {_describe(first)}."


def _describe(reading: Reading) -> str:
    """Return a gate's numbers in words: ``reviews.accuracy of bert is 0.81 (0.74 to 0.86, n = 190), asked >= 0.75``."""
    row = reading.row
    if row is None or row.estimate.value is None:
        return f"{reading.result.gate}: {reading.result.detail}"
    e = row.estimate
    interval = f"{e.low:.4g} to {e.high:.4g}, " if e.low is not None and e.high is not None else ""
    return f"{reading.path} of {row.model} is {e.value:.4g} ({interval}n = {e.n:,}), asked {reading.asked}"
