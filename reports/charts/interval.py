"""A bar: a value and its interval on an axis, with a gate's threshold and other marks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from ...harness.api.scorecard import Estimate
from ..display import make_finite
from .svg import Axis, draw

_MIDDLE, _HEIGHT = 8, 16
_SHAPES = {"diamond": "M0-5 5 0 0 5-5 0z", "triangle": "M0-7 4-1-4-1z"}


@dataclass(frozen=True, slots=True)
class Threshold:
    """A gate's threshold. ``fails_below``: whether the values below it fail; else those above. ``outcome``: that of the gate."""

    value: float
    fails_below: bool
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A further value on a bar.

    ``shape``: ``tick`` (clean value), ``ring``, ``diamond`` (controls), ``triangle`` (baseline) or ``zero`` (no difference).
    """

    shape: str
    value: float


def draw_interval(
    axis: Axis, estimate: Estimate, /, threshold: Threshold | None = None, marks: Iterable[Mark] = (), tone: str = ""
) -> Markup:  # fmt: skip
    """Draw a bar of any width. The text beside it has its numbers, so that it is hidden from assistive technology.

    axis: the axis, which all bars of a column share.
    estimate: the value and its interval; without a value the bar has only the threshold and the marks.
    threshold: the gate's threshold, with the failing side hatched.
    marks: other values.
    tone: the icon whose colour the bar has; by default the threshold's outcome.
    """
    e = make_finite(estimate)
    parts: list[Markup] = []
    if threshold is not None:
        low, high = (axis.low, threshold.value) if threshold.fails_below else (threshold.value, axis.high)
        width = axis.place(high, 0, 96) - axis.place(low, 0, 96)
        parts.append(draw("rect", class_="hatch", x=axis.percent(low), y=4, width=f"{width:.2f}%", height=8))
    if e.low is not None and e.high is not None:
        parts.append(draw("line", class_="interval", x1=axis.percent(e.low), x2=axis.percent(e.high), y1=_MIDDLE, y2=_MIDDLE))
    parts += [_draw_mark(axis, mark) for mark in marks]
    if threshold is not None:
        parts.append(draw("line", class_="threshold", x1=axis.percent(threshold.value), x2=axis.percent(threshold.value), y1=0, y2=_HEIGHT))
    if e.value is not None:
        parts.append(draw("circle", class_="dot", cx=axis.percent(e.value), cy=_MIDDLE, r=4.5))
    return draw(
        "svg", *parts, class_=f"strip {tone or (threshold.outcome if threshold else '')}".strip(), height=_HEIGHT, aria_hidden="true"
    )


def _draw_mark(axis: Axis, mark: Mark) -> Markup:
    place = axis.percent(mark.value)
    if mark.shape == "zero":
        return draw("line", class_="rule", x1=place, x2=place, y1=0, y2=_HEIGHT)
    if mark.shape == "tick":
        return draw("line", class_="mark", x1=place, x2=place, y1=3, y2=13)
    if mark.shape == "ring":
        return draw("circle", class_="mark", cx=place, cy=_MIDDLE, r=4)
    y = _HEIGHT if mark.shape == "triangle" else _MIDDLE
    return draw("svg", draw("path", class_="mark", d=_SHAPES[mark.shape]), x=place, y=y, overflow="visible")


def draw_axis(axis: Axis, /) -> Markup:
    """Draw the labels of an axis, for the head of a column of bars."""
    anchors = {0: "start", len(axis.ticks) - 1: "end"}
    texts = (
        draw("text", text, x=axis.percent(value), y=12, text_anchor=anchors.get(i, "middle")) for i, (value, text) in enumerate(axis.ticks)
    )
    return draw("svg", *texts, class_="strip axis", height=_HEIGHT, aria_hidden="true")
