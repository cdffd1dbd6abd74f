"""Numbers as the page shows them: rates in percent, others with three digits."""

from __future__ import annotations

from collections.abc import Mapping

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
