"""The gates: what each asks in words, the rows it reads, and which of them decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...harness.api.errors import ConfigError
from ...harness.api.scorecard import GateResult, Row, Scorecard
from ...harness.scorecard.gates import Gate, check_gate
from ...harness.scorecard.gates.judgement import Threshold as Condition
from ...harness.scorecard.measures import title_of
from ..charts.interval import Threshold, draw_interval
from ..charts.svg import NOTHING, RATES
from ..display import make_finite
from ..values import describe_item, format_bounds, format_estimate, format_target, is_rate

OUTCOMES = {
    "pass": ("pass", "Pass"), "fail": ("fail", "Fail"), "inconclusive": ("open", "Inconclusive"), "no_data": ("open", "No data"),
    "missing": ("open", "Missing"),
}  # fmt: skip
"""The icon and the word of each outcome; icons are ``pass``, ``fail``, ``open`` and ``none``."""
ICONS = ("fail", "open", "pass", "none")
"""The icons, worst first."""
_WORST_FIRST = ("fail", "missing", "no_data", "inconclusive", "warn", "pass")
"""Verdicts and outcomes."""
_ASKS = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
_PARTS = {
    "low": ", at its lower end", "high": ", at its upper end", "value": ", whatever its interval",
    "n": " samples", "n_unscored": " unscored",
}  # fmt: skip


_COMPARED = {"low": "The lower end", "high": "The upper end", "value": "The value"}


def get_icon(outcome: str, /) -> str:
    """Return the icon of an outcome."""
    return OUTCOMES.get(outcome, ("none", ""))[0]


def get_word(outcome: str, /) -> str:
    """Return the word of an outcome."""
    return OUTCOMES.get(outcome, ("", outcome.replace("_", " ").capitalize()))[1]


@dataclass(frozen=True, slots=True)
class Reading:
    """A gate with the rows that it reads.

    result: the gate's outcome. asks: its condition on a number; None if it has none, such as a gate against a baseline.
    row: the row that decides, the worst one; None if the scorecard does not have it.
    rows: all rows that the gate reads, with its outcome on each; detail: the sentence of the row that decides.
    title, target: what the gate asks, and its threshold, in words. rate: whether the row is a rate.
    """

    result: GateResult
    asks: Condition | None
    row: Row | None
    rows: tuple[tuple[Row, str], ...]
    title: str
    target: str
    rate: bool
    detail: str

    @property
    def icon(self) -> str:
        return get_icon(self.result.outcome)

    @property
    def word(self) -> str:
        return get_word(self.result.outcome)

    @property
    def counts_as(self) -> str:
        """Return how the suite counts the outcome, if that is not the outcome itself."""
        return "" if self.result.verdict == self.result.outcome else f"counts as {self.result.verdict.replace('_', ' ')}"

    @property
    def threshold(self) -> Threshold | None:
        """Return the threshold to draw; None if the gate compares no value of a row."""
        if self.asks is None or self.asks.part in ("n", "n_unscored"):
            return None
        return Threshold(self.asks.number, self.asks.op in (">=", ">"), self.icon)

    def get_outcome(self, row: Row, /) -> str:
        """Return the gate's outcome on one of its rows."""
        return next((outcome for own, outcome in self.rows if own is row), self.result.outcome)

    @property
    def margin(self) -> float:
        """Return how far the value lies on the right side of the threshold, in units of half its interval."""
        e = make_finite(self.row.estimate) if self.row is not None else None
        if e is None or e.value is None or self.asks is None:
            return 0.0
        distance = e.value - self.asks.number if self.asks.op in (">=", ">") else self.asks.number - e.value
        half = (e.high - e.low) / 2 if e.low is not None and e.high is not None else 0.0
        return distance / half if half > 0 else distance

    @property
    def value(self) -> str:
        return format_estimate(self.row.estimate, self.rate, self.row.unit) if self.row is not None else ""

    @property
    def bounds(self) -> str:
        return format_bounds(self.row.estimate, self.rate) if self.row is not None else ""

    @property
    def n(self) -> str:
        return f"{self.row.estimate.n:,}" if self.row is not None else ""

    @property
    def bar(self) -> Markup:
        """Return the bar on the axis of rates; empty for other numbers."""
        if self.row is None or not self.rate or self.threshold is None:
            return NOTHING
        return draw_interval(RATES, self.row.estimate, self.threshold)

    @property
    def reason(self) -> str:
        """Return the sentence of an outcome that is no plain pass or fail."""
        if self.row is None or self.threshold is None:
            return self.detail
        if self.result.outcome == "pass":
            return self._tell_side("above" if self.threshold.fails_below else "below")
        if self.result.outcome == "fail":
            return self._tell_side("below" if self.threshold.fails_below else "above")
        sentence = self.detail.rpartition(": ")[2]
        if self.asks is not None:
            sentence = sentence.replace(f"{self.asks.number:g} lies", f"{self.target} lies")
        return f"{sentence[:1].upper()}{sentence[1:]}."

    def _tell_side(self, side: str) -> str:
        part = self.asks.part if self.asks is not None else None
        return f"{_COMPARED.get(part or '', 'The whole interval')} is {side} {self.target}."


def read_gates(card: Scorecard, /) -> list[Reading]:
    """Return the gates with their rows: failed ones first, then undecided ones, then passed ones, each by its margin."""
    readings = [_read(result, card) for result in card.gates]
    return sorted(readings, key=lambda reading: (ICONS.index(reading.icon), reading.margin))


def _read(result: GateResult, card: Scorecard) -> Reading:
    try:
        gate = Gate.parse(result.gate)
    except ConfigError:
        return Reading(result, None, None, (), result.gate, "", False, result.detail)
    asks = gate.threshold
    rows = tuple(gate.find_rows(card))
    if not rows or asks is None:
        return Reading(result, asks, None, (), result.gate, "", False, result.detail)
    rate = is_rate(rows[0], card.measures)
    target = format_target(asks.number, rate and asks.part not in ("n", "n_unscored"))
    what = f"{title_of(rows[0], card.measures)}{_join(rows[0])}"
    title = f"{what} is {_ASKS[asks.op]} {target}{_PARTS.get(asks.part or '', '')}"
    # The result of a gate on several models is that of the worst one.
    alone = [result] if len(rows) == 1 else [check_gate(gate, Scorecard({}, (row,), max_unscored=card.max_unscored)) for row in rows]
    pairs = tuple((row, own.outcome) for row, own in zip(rows, alone, strict=True))
    readings = [Reading(result, asks, row, pairs, title, target, rate, own.detail) for row, own in zip(rows, alone, strict=True)]
    return min(readings, key=lambda reading: (ICONS.index(get_icon(reading.get_outcome(reading.row or rows[0]))), reading.margin))


def _join(row: Row) -> str:
    """Name a row's item after its metric: ``on reviews``, or ``under deepwordbug on reviews``."""
    return f" {'on' if row.key.is_task else 'under' if row.dimension == 'robustness' else 'of'} {describe_item(row.key)}"


def name_row(row: Row, card: Scorecard, /) -> str:
    """Name a row and its item: ``Robust accuracy under deepwordbug on reviews``."""
    return title_of(row, card.measures) + _join(row)


def choose_deciding(readings: Sequence[Reading], /) -> Reading | None:
    """Return the gate that decides: that with the worst verdict, of several that with the worst outcome and the narrowest one.

    Where all verdicts are passes, one that passes explains them better than one that is only reported.
    """
    places = {name: place for place, name in enumerate(_WORST_FIRST)}

    def rank(reading: Reading) -> tuple[int, bool, int, float]:
        # A scorecard is data, which may name an outcome that is none: it comes first, to be seen.
        verdict, outcome = reading.result.verdict, reading.result.outcome
        is_only_reported = verdict == "pass" != outcome
        return places.get(verdict, -1), is_only_reported, places.get(outcome, -1), reading.margin

    return min(readings, key=rank, default=None)
