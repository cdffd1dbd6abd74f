"""Histories of runs as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..api.numerals import format_count
from ..api.visible_text import make_visible
from ..results.history import History, Trend, list_values

_LEVELS = "▁▂▃▄▅▆▇█"


def format_histories(histories: Sequence[History]) -> str:
    """Return a line per headline row and name of runs: a sparkline, then the values, oldest first."""
    lines = [line for history in histories for line in _list_lines(history)]
    return "\n".join(make_visible(line).replace("\n", "\\n") for line in lines)


def _list_lines(history: History) -> Iterator[str]:
    days = f"{history.times[0]:%Y-%m-%d} to {history.times[-1]:%Y-%m-%d}"
    yield f"{history.name}: {format_count(len(history.folders), 'run')}, {days} ({', '.join(history.folders)})"
    for trend in history.trends:
        yield f"  {trend.model}  {trend.item + '.' + trend.metric:<44} {_draw(trend)}  {' '.join(list_values(trend))}"


def _draw(trend: Trend) -> str:
    values = [None if e is None else e.value for e in trend.estimates]
    known = [value for value in values if value is not None]
    low, span = min(known, default=0.0), (max(known, default=0.0) - min(known, default=0.0)) or 1.0
    return "".join(" " if value is None else _LEVELS[round(7 * (value - low) / span)] for value in values)
