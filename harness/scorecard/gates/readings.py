"""Gates beside the rows that they read, the gate that decides, and the verdict with its reason in a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from ...api.numerals import format_number
from ...api.scorecard import GateResult, JudgedRow, Scorecard
from .verdict import VERDICTS

OUTCOMES = ("fail", "missing", "no_data", "inconclusive", "pass")
"""The outcomes of gates, first those that people must see first."""

_PLACES = {outcome: place for place, outcome in enumerate(OUTCOMES)}

_HAVE: Mapping[str, tuple[str, str]] = {
    "fail": ("fails", "fail"), "no_data": ("has no data", "have no data"), "missing": ("is missing", "are missing"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """A gate with the rows that it judged.

    ``rows``: its rows, the worst outcome first, then the smallest margin. ``row``: the first one, which decides; None without rows.
    """

    result: GateResult
    rows: tuple[JudgedRow, ...] = ()

    @property
    def row(self) -> JudgedRow | None:
        return self.rows[0] if self.rows else None

    @property
    def path(self) -> str:
        """The number that decides: ``reviews.accuracy.low``; the whole gate if it judged none."""
        if self.row is None or self.row.threshold is None:
            return self.result.gate
        return ".".join(filter(None, [self.row.item, self.row.metric, self.row.part]))

    @property
    def asked(self) -> str:
        """What is asked of the number that decides: ``>= 0.75``, or ``may drop by 0.01``."""
        return describe_threshold(self.row) if self.row is not None else ""

    @property
    def margin(self) -> float:
        """The smallest margin of its rows (`measure_margin`)."""
        return measure_margin(self.row) if self.row is not None else 0.0


def read_gates(card: Scorecard, /) -> list[Reading]:
    """Return the gates with their rows: the worst verdict first, then in the order of `OUTCOMES`, then the smallest margin."""
    verdicts = {name: place for place, name in enumerate(reversed(VERDICTS))}
    readings = [Reading(result, tuple(sorted(result.rows, key=_rank_row))) for result in card.gates]
    # A scorecard is data, which may name an outcome that is none: it comes first, to be seen.
    return sorted(readings, key=lambda r: (verdicts.get(r.result.verdict, -1), _PLACES.get(r.result.outcome, -1), r.margin))


def _rank_row(row: JudgedRow) -> tuple[int, float]:
    return _PLACES.get(row.outcome, -1), measure_margin(row)


AnyReading = TypeVar("AnyReading", bound=Reading)


def choose_deciding(readings: Sequence[AnyReading], /) -> AnyReading | None:
    """Return the gate that decides, of those from `read_gates`: the first, or, if all verdicts are passes, the first that passes."""
    if not readings:
        return None
    # A gate that only reports may fail, which does not explain why the run passes.
    counts = readings[0].result.verdict != "pass"
    return next((reading for reading in readings if counts or reading.result.outcome == "pass"), readings[0])


def measure_margin(row: JudgedRow, /) -> float:
    """Return how far a number lies on the right side of its threshold, in half lengths of its interval; -inf without a number."""
    if row.value is None or row.threshold is None:
        return -math.inf
    distance = row.value - row.threshold if row.op in (">=", ">") else row.threshold - row.value
    half = (row.high - row.low) / 2 if row.low is not None and row.high is not None else 0.0
    return distance / half if half > 0 else distance


def describe_threshold(row: JudgedRow, /) -> str:
    """Return what is asked of a row: ``>= 0.75``, or ``may drop by 0.01`` against a baseline; empty if nothing is."""
    if row.threshold is None:
        return ""
    if row.baseline is None:
        return f"{row.op} {row.threshold:g}"
    return f"may {'drop' if row.op == '>=' else 'rise'} by {format_number(abs(row.threshold))}"


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
    first = choose_deciding(readings) or readings[0]
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
    if row is None or row.value is None or row.threshold is None:
        return f"{reading.result.gate}: {reading.result.detail}"
    if row.baseline is None:
        bounds = _describe_bounds(row, "-")
        return f"{reading.path} of {row.model} is {format_number(row.value)} ({bounds}n = {row.n:,}), asked {reading.asked}"
    value, bounds, baseline = format_number(row.value, "+"), _describe_bounds(row, "+"), format_number(row.baseline)
    changed = f"changed by {value} ({bounds}n = {row.n:,}) against the baseline's {baseline}"
    return f"{reading.path} of {row.model} {changed}, {reading.asked}"


def _describe_bounds(row: JudgedRow, sign: Literal["-", "+"]) -> str:
    """Return the interval of a row with a comma behind it; empty without one."""
    if row.low is None or row.high is None:
        return ""
    return f"{format_number(row.low, sign)} to {format_number(row.high, sign)}, "
