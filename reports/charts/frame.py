"""The frame of curves: shares from 0 to 100 % over another quantity, and names at the ends of lines."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from ..values import format_percent
from .svg import RATES, Axis, draw

LEFT, RIGHT, TOP, BOTTOM = 44, 312, 10, 182
_LINE = 15


def x_of(axis: Axis, value: float, /) -> float:
    """Return the horizontal position of a value."""
    return axis.place(value, LEFT, RIGHT)


def y_of(share: float, /) -> float:
    """Return the vertical position of a share."""
    return RATES.place(share, BOTTOM, TOP)


def draw_frame(axis: Axis, title: str, /) -> Markup:
    """Draw the lines and labels of both axes. ``title``: what the horizontal axis measures."""
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(draw("line", class_="grid" if tick else "rule", x1=LEFT, x2=RIGHT, y1=y_of(tick), y2=y_of(tick)))
        parts.append(draw("text", format_percent(tick, 0), x=LEFT - 6, y=y_of(tick) + 4, text_anchor="end"))
    for place, (value, text) in enumerate(axis.ticks):
        anchor = "end" if place == len(axis.ticks) - 1 else "middle"
        parts.append(draw("text", text, x=x_of(axis, value), y=BOTTOM + 17, text_anchor=anchor))
    parts.append(draw("text", title, x=(LEFT + RIGHT) / 2, y=BOTTOM + 35, text_anchor="middle"))
    return draw("g", *parts)


def draw_labels(ends: Iterable[tuple[float, str, str]], /) -> Markup:
    """Draw a name above the end of each line, moved down where two would touch. ``ends``: (share, name, class)."""
    parts = []
    free = TOP - _LINE + 6.0
    for share, name, css in sorted(ends, reverse=True):
        y = max(y_of(share) - 5, free + _LINE)
        free = y
        parts.append(draw("text", name, class_=f"name-of {css}", x=RIGHT - 2, y=y, text_anchor="end"))
    return draw("g", *parts)
