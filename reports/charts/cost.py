"""Cost: the seconds of a model by kind of work, as one stacked bar."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from .svg import draw

KINDS = {"task": "tasks", "attack": "attacks", "probe": "probes", "": "derived items"}
"""The kinds of work, with the names that the legend shows."""


def draw_cost(seconds: Mapping[str, float], most: float, /) -> Markup:
    """Draw the seconds by kind of work. ``most``: the seconds that fill the width, which all bars share."""
    parts, x = [], 0.0
    for place, kind in enumerate(KINDS):
        width = 100 * seconds.get(kind, 0.0) / most
        if width:
            parts.append(draw("rect", class_=f"work-{place + 1}", x=f"{x:.2f}%", y=2, width=f"{max(width, 0.15):.2f}%", height=12))
        x += width
    return draw("svg", *parts, class_="shares", height=16, aria_hidden="true")


def draw_legend(kinds: list[str], /) -> Markup:
    """Draw the legend of the kinds of work that occur."""
    keys = []
    for place, (kind, name) in enumerate(KINDS.items()):
        if kind in kinds:
            swatch = draw("rect", class_=f"work-{place + 1}", width=28, height=10, y=2)
            keys.append(draw("span", draw("svg", swatch, viewBox="0 0 30 14", aria_hidden="true"), name))
    return draw("p", *keys, class_="legend")
