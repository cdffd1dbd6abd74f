"""The deciding gate: its value, interval and threshold, on an axis that is zoomed to them."""

from __future__ import annotations

from markupsafe import Markup

from ...harness.api.scorecard import Estimate
from ..display import make_finite
from ..values import format_percent
from .interval import Threshold
from .svg import NOTHING, Axis, choose_step, draw

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 380, 104, 8, 372, 34, 82
_MIDDLE = (_TOP + _BOTTOM) / 2


def draw_deciding(estimate: Estimate, threshold: Threshold, label: str, /) -> Markup:
    """Draw a rate with its gate. ``label``: the same in words. Empty without a value."""
    e = make_finite(estimate)
    if e.value is None:
        return NOTHING
    points = [e.value, threshold.value, *(bound for bound in (e.low, e.high) if bound is not None)]
    margin = max(0.02, 0.35 * (max(points) - min(points)))
    axis = Axis(max(0.0, min(points) - margin), min(1.0, max(points) + margin))

    def x(value: float) -> float:
        return axis.place(value, _LEFT, _RIGHT)

    step = choose_step(axis.high - axis.low, 6)
    ticks = [step * i for i in range(1 + round(1 / step)) if axis.low - 1e-9 <= step * i <= axis.high + 1e-9]
    low, high = (axis.low, threshold.value) if threshold.fails_below else (threshold.value, axis.high)
    parts = [draw("rect", class_="hatch", x=x(low), y=_TOP, width=x(high) - x(low), height=_BOTTOM - _TOP)]
    for tick in ticks:
        if _LEFT + 8 <= x(tick) <= _RIGHT - 8:
            parts.append(draw("line", class_="grid", x1=x(tick), x2=x(tick), y1=_TOP, y2=_BOTTOM))
            parts.append(draw("text", format_percent(tick, 0 if step >= 0.01 else 1), x=x(tick), y=_HEIGHT - 5, text_anchor="middle"))
    parts.append(draw("line", class_="grid", x1=_LEFT, x2=_RIGHT, y1=_MIDDLE, y2=_MIDDLE))
    if e.low is not None and e.high is not None:
        parts.append(draw("line", class_="interval thick", x1=x(e.low), x2=x(e.high), y1=_MIDDLE, y2=_MIDDLE))
        parts.append(draw("text", f"{100 * e.low:.1f}", x=max(x(e.low) - 6, _LEFT + 26), y=_BOTTOM - 6, text_anchor="end"))
        parts.append(draw("text", f"{100 * e.high:.1f}", x=min(x(e.high) + 6, _RIGHT - 26), y=_BOTTOM - 6))
    parts.append(draw("circle", class_="dot", cx=x(e.value), cy=_MIDDLE, r=8))
    parts.append(draw("line", class_="threshold", x1=x(threshold.value), x2=x(threshold.value), y1=_TOP - 6, y2=_BOTTOM))
    asked = min(max(x(threshold.value), _LEFT + 45), _RIGHT - 45)
    parts.append(draw("text", f"asked: {100 * threshold.value:.10g}\u202f%", class_="strong", x=asked, y=_TOP - 14, text_anchor="middle"))
    shown = min(max(x(e.value), _LEFT + 26), _RIGHT - 26)
    parts.append(draw("text", format_percent(e.value), class_="strong", x=shown, y=_TOP + 8, text_anchor="middle"))
    return draw("svg", *parts, class_=f"chart {threshold.outcome}", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label)
