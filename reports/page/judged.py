"""A number that a gate judged, in words: what was asked of it, what it is, and why it has its outcome."""

from __future__ import annotations

from dataclasses import dataclass

from ...harness.api.scorecard import Estimate, JudgedRow, Row
from ..charts.interval import Threshold
from ..values import Scale

OUTCOMES = {
    "pass": ("pass", "Pass"), "fail": ("fail", "Fail"), "inconclusive": ("open", "Inconclusive"), "no_data": ("open", "No data"),
    "missing": ("open", "Missing"),
}  # fmt: skip
"""The icon and the word of each outcome; icons are ``pass``, ``fail``, ``open`` and ``none``."""
ICONS = ("fail", "open", "pass", "none")
"""The icons, worst first."""

_ASKS = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
COUNTS = {"n": "samples", "n_unscored": "unscored samples"}
_COMPARED = {"low": "The lower end", "high": "The upper end", "value": "The value"}
RowId = tuple[str, str, str]


def get_id(row: Row, /) -> RowId:
    """Return the model, item and name of a row."""
    return row.model, row.item, row.name


def get_icon(outcome: str, /) -> str:
    """Return the icon of an outcome."""
    return OUTCOMES.get(outcome, ("none", ""))[0]


def get_word(outcome: str, /) -> str:
    """Return the word of an outcome."""
    return OUTCOMES.get(outcome, ("", outcome.replace("_", " ").capitalize()))[1]


@dataclass(frozen=True, slots=True)
class Judged:
    """A number that a gate judged.

    judged: the numbers. row: the row of the scorecard that they are about; None if it has none.
    scale: how the numbers are written. name: what distinguishes it from the gate's other rows.
    """

    judged: JudgedRow
    row: Row | None
    scale: Scale
    name: str = ""

    @property
    def icon(self) -> str:
        return get_icon(self.judged.outcome)

    @property
    def word(self) -> str:
        return get_word(self.judged.outcome)

    @property
    def is_difference(self) -> bool:
        """Whether the number is a difference to a baseline."""
        return self.judged.baseline is not None

    @property
    def estimate(self) -> Estimate:
        return Estimate(self.judged.value, self.judged.low, self.judged.high, self.judged.n)

    @property
    def threshold(self) -> Threshold | None:
        """The threshold to draw; None if the gate compares no value."""
        if self.judged.threshold is None or self.judged.part in COUNTS:
            return None
        return Threshold(self.judged.threshold, self.judged.op in (">=", ">"), self.icon)

    @property
    def value(self) -> str:
        return "" if self.judged.value is None else self.scale.format(self.judged.value)

    @property
    def bounds(self) -> str:
        low, high = self.judged.low, self.judged.high
        return "" if low is None or high is None else self.scale.format_bounds(low, high)

    @property
    def baseline(self) -> str:
        """The baseline's value; empty for a gate without one."""
        base = self.judged.baseline
        return "" if base is None else self.scale.absolute.format(base)

    @property
    def n(self) -> str:
        return f"{self.judged.n:,}" if self.judged.threshold is not None else ""

    @property
    def target(self) -> str:
        """What is asked: ``at least 75 %``, or ``may drop by 1 point``; empty if the row was compared with nothing."""
        if self.judged.threshold is None:
            return ""
        if self.is_difference:
            # A share of the baseline has any number of digits.
            allowed = float(f"{abs(self.judged.threshold):.4g}")
            return f"may {'drop' if self.judged.op == '>=' else 'rise'} by {self.scale.format_target(allowed)}"
        return f"{_ASKS.get(self.judged.op, self.judged.op)} {self.scale.format_target(self.judged.threshold)}"

    @property
    def reason(self) -> str:
        """Why it has its outcome, in a sentence."""
        if self.threshold is None or self.judged.value is None:
            return make_sentence(self.judged.detail)
        if self.judged.outcome in ("pass", "fail"):
            return self._tell_side()
        sentence = self.judged.detail.partition(": ")[2]
        number = self.scale.format_target(self.judged.threshold or 0.0)
        sentence = sentence.replace(f"{self.judged.threshold:g} lies", f"{number} lies")
        return make_sentence(sentence)

    def _tell_side(self) -> str:
        part, threshold = _COMPARED.get(self.judged.part, "The whole interval"), self.judged.threshold or 0.0
        if self.judged.low is None or self.judged.high is None:
            part = "The value"
        is_good = self.judged.outcome == "pass"
        if self.is_difference:
            return f"{part} is {'within' if is_good else 'beyond'} the allowed {'drop' if self.judged.op == '>=' else 'rise'}."
        return f"{part} is {'above' if is_good == (self.judged.op in ('>=', '>')) else 'below'} {self.scale.format_target(threshold)}."


def make_sentence(text: str, /) -> str:
    """Return a text with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""
