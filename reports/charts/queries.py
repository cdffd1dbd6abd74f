"""Success over the budget of queries: a step curve per attack."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ...harness.api.scorecard import QueryCurve
from .frame import LEFT, RIGHT, draw_frame, draw_labels, x_of, y_of
from .svg import choose_axis, draw

_SERIES = 3


def draw_queries(curves: Sequence[QueryCurve], /) -> Markup:
    """Draw the share of rightly answered samples that each attack breaks within a number of queries."""
    axis = choose_axis([1.05 * curve.steps[-1][0] for curve in curves])
    parts = [draw_frame(axis, "queries to the model, per sample")]
    ends = []
    for place, curve in enumerate(curves):
        style = f"series-{place % _SERIES + 1}"
        path = f"M{LEFT} {y_of(0):.1f}" + "".join(
            f"H{x_of(axis, queries):.1f}V{y_of(num / curve.num_attacked):.1f}" for queries, num in curve.steps
        )
        parts.append(draw("path", class_=f"curve {style}", d=Markup(f"{path}H{RIGHT}")))
        final = curve.steps[-1][1] / curve.num_attacked
        ends.append((final, f"{curve.key.title} {100 * final:.0f}\u202f%", style))
    parts.append(draw_labels(ends))
    return draw("svg", *parts, class_="chart", viewBox="0 0 320 226", role="img", aria_label=describe(curves))


def describe(curves: Sequence[QueryCurve], /) -> str:
    """Say what each attack reaches, and with how many queries half of its successes."""
    told = []
    for curve in curves:
        successes = curve.steps[-1][1]
        half = next(queries for queries, num in curve.steps if 2 * num >= successes)
        told.append(f"{curve.key.title} breaks {successes:,} of {curve.num_attacked:,}, half of them within {half:,} queries")
    return f"Share of rightly answered samples broken: {'; '.join(told)}."
