"""The reliability diagram: accuracy by confidence, with the number of samples below."""

from __future__ import annotations

from markupsafe import Markup

from ...harness.api.scorecard import Reliability
from ..values import format_percent
from .svg import Axis, draw

LEAST_SAMPLES = 50
_LEFT, _RIGHT, _TOP, _BOTTOM, _BASE = 44, 300, 8, 190, 226
_SURE = 0.9
_LINE = "The dashed line is where confidence equals accuracy."


def draw_reliability(reliability: Reliability, /) -> Markup:
    """Draw each bin's accuracy with its interval at its mean confidence; the area of a dot grows with its samples."""
    x_axis = Axis(1 / reliability.num_classes, 1.0)
    y_axis = Axis(0.0, 1.0)
    total = sum(b.accuracy.n for b in reliability.bins)

    def x(value: float) -> float:
        return x_axis.place(value, _LEFT, _RIGHT)

    def y(value: float) -> float:
        return y_axis.place(value, _BOTTOM, _TOP)

    parts = []
    for tick in (0.0, 0.5, 1.0):
        parts.append(draw("line", class_="grid", x1=_LEFT, x2=_RIGHT, y1=y(tick), y2=y(tick)))
        parts.append(draw("text", format_percent(tick, 0), x=_LEFT - 6, y=y(tick) + 4, text_anchor="end"))
    parts.append(draw("line", class_="ideal", x1=x(x_axis.low), x2=x(1.0), y1=y(x_axis.low), y2=y(1.0)))
    for found in reliability.bins:
        e = found.accuracy
        if e.value is None:
            continue
        if e.low is not None and e.high is not None:
            parts.append(draw("line", class_="interval thin", x1=x(found.confidence), x2=x(found.confidence), y1=y(e.low), y2=y(e.high)))
        parts.append(draw("circle", class_="dot", cx=x(found.confidence), cy=y(e.value), r=2.5 + 5 * (e.n / total) ** 0.5))
        height = 24 * e.n / total
        left, right = x(max(found.low, x_axis.low)), x(found.high)
        parts.append(draw("rect", class_="frequency", x=left, y=_BASE - height, width=max(1.0, right - left - 1), height=height))
    parts.append(draw("line", class_="rule", x1=_LEFT, x2=_RIGHT, y1=_BASE, y2=_BASE))
    middle = (x_axis.low + 1) / 2
    for tick, anchor in ((x_axis.low, "start"), (middle, "middle"), (1.0, "end")):
        parts.append(draw("text", format_percent(tick, 0), x=x(tick), y=_BASE + 15, text_anchor=anchor))
    parts.append(draw("text", "confidence, with the number of samples", x=(_LEFT + _RIGHT) / 2, y=_BASE + 31, text_anchor="middle"))
    return draw("svg", *parts, class_="chart", viewBox=f"0 0 {_RIGHT + 8} {_BASE + 38}", role="img", aria_label=describe(reliability))


def describe(reliability: Reliability, /) -> str:
    """Say how many answers are given with more than 90 % confidence, and how many of those are right."""
    total = sum(b.accuracy.n for b in reliability.bins)
    sure = next((b for b in reliability.bins if b.high > _SURE + 1e-9 and b.accuracy.value is not None), None)
    if sure is None or sure.accuracy.value is None:
        return f"None of {total:,} answers is given with more than 90\u202f% confidence. {_LINE}"
    right = format_percent(sure.accuracy.value)
    return (
        f"{sure.accuracy.n:,} of {total:,} answers are given with more than 90\u202f% confidence (mean {format_percent(sure.confidence)}); "
        f"{right} of them are right. {_LINE}"
    )
