"""Numbers as people read them: about four digits, and thousands separators."""

from __future__ import annotations

from typing import Literal


def format_count(num: int, noun: str, /) -> str:
    """Format a count with its noun: ``1 sample``, ``1,200 samples``."""
    return f"{num:,} {noun}" if num == 1 else f"{num:,} {noun}s"


def format_number(value: float | None, sign: Literal["-", "+"] = "-", /) -> str:
    """Format a number with four digits: ``0.9125``, ``12.5``, ``267,552``; a dash for None. sign: ``+`` writes both signs."""
    if value is None:
        return "–"
    return f"{value:{sign},.0f}" if 999.95 <= abs(value) < 1e15 else f"{value:{sign}.4g}"


def format_interval(low: float | None, high: float | None, sign: Literal["-", "+"] = "-", /) -> str:
    """Format an interval: ``[0.9029, 0.9211]``; empty without one of its bounds."""
    return "" if low is None or high is None else f"[{format_number(low, sign)}, {format_number(high, sign)}]"
