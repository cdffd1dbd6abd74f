"""Robust accuracy over the strength of an attack: a curve with its 95 % band."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ...harness.api.scorecard import Estimate
from ..display import make_finite
from ..values import format_percent
from .frame import draw_frame, x_of, y_of
from .interval import Threshold
from .svg import choose_axis, draw

LEAST_STRENGTHS = 3
"""With fewer strengths a table says it better."""


def draw_epsilon(points: Sequence[tuple[float, Estimate]], title: str, /, threshold: Threshold | None = None, at: float = 0.0) -> Markup:
    """Draw robust accuracy over epsilon.

    points: (epsilon, estimate), by epsilon; those without a value are left out.
    title: what epsilon measures. threshold: the gate at the strength ``at``.
    """
    found = [(epsilon, e) for epsilon, estimate in points if (e := make_finite(estimate)).value is not None]
    axis = choose_axis([epsilon for epsilon, _ in found])
    banded = [(x_of(axis, epsilon), e.low, e.high) for epsilon, e in found if e.low is not None and e.high is not None]
    upper = [f"{x:.1f} {y_of(high):.1f}" for x, _, high in banded]
    lower = [f"{x:.1f} {y_of(low):.1f}" for x, low, _ in reversed(banded)]
    line = "L".join(f"{x_of(axis, epsilon):.1f} {y_of(e.value or 0.0):.1f}" for epsilon, e in found)
    parts = [draw_frame(axis, title)]
    if banded:
        parts.append(draw("path", class_="band", d=Markup(f"M{'L'.join([*upper, *lower])}Z")))
    if threshold is not None:
        x, y = x_of(axis, at), y_of(threshold.value)
        far = y_of(0.0) if threshold.fails_below else y_of(1.0)
        parts.append(draw("rect", class_="hatch", x=x - 6, y=min(y, far), width=12, height=abs(far - y)))
        parts.append(draw("line", class_="threshold", x1=x - 10, x2=x + 10, y1=y, y2=y))
    parts.append(draw("path", class_="curve series-2", d=Markup(f"M{line}")))
    parts += [draw("circle", class_="mark", cx=x_of(axis, epsilon), cy=y_of(e.value or 0.0), r=3.5) for epsilon, e in found]
    return draw("svg", *parts, class_="chart", viewBox="0 0 320 226", role="img", aria_label=describe(found))


def describe(points: Sequence[tuple[float, Estimate]], /) -> str:
    """Say the share that is left at each strength."""
    told = ", ".join(f"{format_percent(e.value)} at {epsilon:g}" for epsilon, e in points if e.value is not None)
    return f"Right under attack, with its 95\u202f% interval: {told}."
