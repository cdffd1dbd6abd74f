"""Numbers as the page shows them: rates in percent, others with three digits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..harness.api.item_key import ItemKey
from ..harness.api.scorecard import Estimate, Measure, Row
from .display import clip, make_finite

SPACE = "\u202f"
"""A narrow space that does not break, between a number and its percent sign."""

_RATES = frozenset({
    "rate", "accuracy", "balanced accuracy", "macro precision", "macro recall", "precision of a class", "recall of a class",
    "rate corrected for a judge",
})  # fmt: skip
"""The kinds of numbers that are shares of samples (`Measure.kind`)."""

_FEWEST_DIGITS = 0.0005
_LONGEST_UNIT = 40


def is_rate(row: Row, measures: Mapping[str, Measure], /) -> bool:
    """Tell whether a row is a share of samples, which is shown in percent and with a bar."""
    measure = measures.get(row.metric)
    return measure is not None and measure.kind in _RATES and not row.unit and not row.control.startswith("minus")


def format_percent(share: float, /, digits: int = 1) -> str:
    """Format a share: ``80.5 %``; exactly 0 and 1 have no decimals."""
    return f"{100 * share:.{digits if share not in (0, 1) else 0}f}{SPACE}%".replace("-", "−")


def format_number(value: float, /, whole: bool = False) -> str:
    """Format a number with three digits and thousands separators. ``whole``: whether it is a count."""
    size = abs(value)
    if whole and size == int(size):
        text = f"{size:,.0f}"
    elif 0 < size < _FEWEST_DIGITS:
        text = f"{size:.1e}"
    else:
        text = f"{size:,.0f}" if size >= 999.5 else f"{size:.3f}" if size < 1 else f"{size:#.3g}".rstrip(".")
    return f"−{text}" if value < 0 else text


def format_estimate(estimate: Estimate, rate: bool, /, unit: str = "") -> str:
    """Format the value with its unit; ``not scored`` without a value."""
    e = make_finite(estimate)
    if e.value is None:
        return "not scored"
    if rate:
        return format_percent(e.value)
    text = format_number(e.value, whole=e.low is None)
    return f"{text} {clip(unit, _LONGEST_UNIT)}" if unit else text


def format_bounds(estimate: Estimate, rate: bool, /) -> str:
    """Format the interval: ``74.3 to 85.5 %``; empty if there is none."""
    e = make_finite(estimate)
    if e.low is None or e.high is None:
        return ""
    if rate:
        return f"{100 * e.low:.1f} to {100 * e.high:.1f}{SPACE}%".replace("-", "−")
    return f"{format_number(e.low)} to {format_number(e.high)}"


def format_points(difference: float, /) -> str:
    """Format a difference of rates in points of a percent, with its sign: ``+1.5 points``."""
    return f"{_write_points(difference)} points"


def _write_points(difference: float) -> str:
    """Write points with one decimal and a sign; a difference that rounds to 0 has none."""
    text = f"{100 * difference:+.1f}"
    return text[1:] if text in ("+0.0", "-0.0") else text.replace("-", "−")


def format_signed(difference: float, /) -> str:
    """Format a difference of other numbers with its sign."""
    return f"+{format_number(difference)}" if difference > 0 else format_number(difference)


@dataclass(frozen=True, slots=True)
class Scale:
    """How numbers of a kind are written: a rate in percent, a difference of rates in points, other numbers and their differences."""

    kind: Literal["rate", "points", "number", "change"]

    @property
    def absolute(self) -> Scale:
        """The scale of the numbers whose differences are on this one."""
        if self.kind == "points":
            return RATE
        return Scale("number") if self.kind == "change" else self

    def format(self, value: float, /) -> str:
        """Format a value: ``80.5 %``, ``−1.5 points``."""
        if not math.isfinite(value):
            return "not scored"
        return {"rate": format_percent, "points": format_points, "change": format_signed, "number": _format_any}[self.kind](value)

    def format_bounds(self, low: float, high: float, /) -> str:
        """Format an interval: ``74.3 to 85.5 %``."""
        if not (math.isfinite(low) and math.isfinite(high)):
            return ""
        if self.kind == "points":
            return f"{_write_points(low)} to {_write_points(high)} points"
        if self.kind == "change":
            return f"{format_signed(low)} to {format_signed(high)}"
        return format_bounds(Estimate(low, low, high), self.kind == "rate")

    @property
    def is_change(self) -> bool:
        return self.kind in ("points", "change")

    def format_end(self, bound: float, /) -> str:
        """Format an end of an interval whose unit stands elsewhere: ``74.3``."""
        if self.kind == "points":
            return _write_points(bound)
        return f"{100 * bound:.1f}" if self.kind == "rate" else self.format(bound)

    def format_tick(self, tick: float, step: float, /) -> str:
        """Format a tick of an axis. ``step``: the distance between two ticks."""
        if self.kind == "rate":
            return format_percent(tick, 0 if step >= 0.01 else 1)
        factor = 100.0 if self.kind == "points" else 1.0
        text = f"{factor * tick:{'+' if self.is_change and abs(tick) > step / 2 else '-'}.4g}".replace("-", "−")
        return "0" if abs(tick) < step / 2 else text

    def format_target(self, number: float, /) -> str:
        """Format a threshold without rounding: ``75 %``, ``1 point``."""
        if self.kind == "points":
            return f"{100 * number:.4g} {'point' if math.isclose(number, 0.01) else 'points'}".replace("-", "−")
        return format_target(number, self.kind == "rate")


RATE, POINTS = Scale("rate"), Scale("points")


def choose_scale(row: Row, measures: Mapping[str, Measure], /, is_difference: bool = False) -> Scale:
    """Return how a row's numbers, or differences to them, are written."""
    if is_rate(row, measures):
        return POINTS if is_difference else RATE
    return Scale("change" if is_difference else "number")


def _format_any(value: float) -> str:
    return format_number(value, whole=True)


def format_target(number: float, rate: bool, /) -> str:
    """Format a gate's threshold without rounding: ``75 %``."""
    return f"{100 * number:.10g}{SPACE}%" if rate else f"{number:.10g}".replace("-", "−")


def describe_item(key: ItemKey, /) -> str:
    """Name an item in words: ``deepwordbug on reviews``."""
    if key.is_task:
        return key.task
    if not key.about and not key.source_model:
        return " ".join(filter(None, [key.title, "on", key.task, key.threat and f"({key.threat})"]))
    return str(key)
