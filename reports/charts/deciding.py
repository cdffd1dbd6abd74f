"""The deciding gate: its value, interval and threshold, on an axis that is zoomed to them."""

from __future__ import annotations

import math

from markupsafe import Markup

from ...harness.api.scorecard import Estimate
from ..display import make_finite
from ..values import POINTS, RATE, Scale
from .interval import Threshold
from .svg import NOTHING, Axis, choose_step, draw

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 380, 104, 8, 372, 34, 82
_MIDDLE = (_TOP + _BOTTOM) / 2


def draw_deciding(estimate: Estimate, threshold: Threshold, scale: Scale, label: str, /) -> Markup:
    """Draw a number with its gate. ``scale``: how it is written. ``label``: the same in words. Empty without a value."""
    e = make_finite(estimate)
    if e.value is None:
        return NOTHING
    axis = _zoom([e.value, threshold.value, *(bound for bound in (e.low, e.high) if bound is not None)], scale)

    def x(value: float) -> float:
        return axis.place(value, _LEFT, _RIGHT)

    low, high = (axis.low, threshold.value) if threshold.fails_below else (threshold.value, axis.high)
    parts = [draw("rect", class_="hatch", x=x(low), y=_TOP, width=x(high) - x(low), height=_BOTTOM - _TOP)]
    for tick, text in axis.ticks:
        if _LEFT + 8 <= x(tick) <= _RIGHT - 8:
            parts.append(draw("line", class_="grid", x1=x(tick), x2=x(tick), y1=_TOP, y2=_BOTTOM))
            parts.append(draw("text", text, x=x(tick), y=_HEIGHT - 5, text_anchor="middle"))
    parts.append(draw("line", class_="grid", x1=_LEFT, x2=_RIGHT, y1=_MIDDLE, y2=_MIDDLE))
    if e.low is not None and e.high is not None:
        parts.append(draw("line", class_="interval thick", x1=x(e.low), x2=x(e.high), y1=_MIDDLE, y2=_MIDDLE))
        parts.append(draw("text", scale.format_end(e.low), x=max(x(e.low) - 6, _LEFT + 30), y=_BOTTOM - 6, text_anchor="end"))
        parts.append(draw("text", scale.format_end(e.high), x=min(x(e.high) + 6, _RIGHT - 30), y=_BOTTOM - 6))
    parts.append(draw("circle", class_="dot", cx=x(e.value), cy=_MIDDLE, r=8))
    parts.append(draw("line", class_="threshold", x1=x(threshold.value), x2=x(threshold.value), y1=_TOP - 6, y2=_BOTTOM))
    asked = min(max(x(threshold.value), _LEFT + 55), _RIGHT - 55)
    words = f"{'allowed' if scale.is_change else 'asked'}: {scale.format_target(threshold.value)}"
    parts.append(draw("text", words, class_="strong", x=asked, y=_TOP - 14, text_anchor="middle"))
    shown = min(max(x(e.value), _LEFT + 40), _RIGHT - 40)
    parts.append(draw("text", scale.format(e.value), class_="strong", x=shown, y=_TOP + 8, text_anchor="middle"))
    return draw("svg", *parts, class_=f"chart {threshold.outcome}", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label)


def _zoom(points: list[float], scale: Scale) -> Axis:
    """Choose an axis that is a little longer than the points, within the values that the scale can have."""
    span = max(points) - min(points)
    margin = max(0.02 if scale in (RATE, POINTS) else 0.05 * max(map(abs, points)), 0.35 * span) or 1.0
    low, high = min(points) - margin, max(points) + margin
    if scale in (RATE, POINTS):
        low, high = max(low, 0.0 if scale == RATE else -1.0), min(high, 1.0)
    step = choose_step(high - low, 6)
    ticks = (step * place for place in range(math.ceil(low / step), math.floor(high / step) + 1))
    return Axis(low, high, tuple((tick, scale.format_tick(tick, step)) for tick in ticks))
