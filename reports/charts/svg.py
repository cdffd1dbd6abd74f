"""Writes SVG elements, and maps values to positions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup, escape

from ...harness.api.visible_text import make_visible
from ..display import clip

NOTHING = Markup("")
"""No drawing."""
_TEXT_LIMIT = 200
_SQUEEZE = 0.96
"""The share of a bar's width that its axis takes, so that marks at its ends are not cut."""


def draw(tag: str, /, *children: Markup | str, **attributes: float | str | None) -> Markup:
    """Write an element. All text is made visible, clipped and escaped, so that no name can add markup.

    tag: the element's name.
    children: elements and texts.
    attributes: numbers, texts, or `Markup` that is written as it is, such as a path; None leaves one out. A trailing
        underscore is dropped (``class_``), and others become hyphens.
    """
    pairs = ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items() if value is not None)
    written = Markup("").join(Markup(' {}="{}"').format(name, _format(value)) for name, value in pairs)
    inner = Markup("").join(child if isinstance(child, Markup) else _show(child) for child in children)
    return Markup("<{}{}>{}</{}>").format(Markup(tag), written, inner, Markup(tag))


def _format(value: float | str) -> Markup:
    """Format an attribute: a number with at most two decimals, or a text."""
    if isinstance(value, str):
        return value if isinstance(value, Markup) else _show(value)
    return Markup(f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value))


def _show(text: str) -> Markup:
    return escape(clip(make_visible(text), _TEXT_LIMIT))


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis between two values. ``ticks``: (value, text) of its labels."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()

    def place(self, value: float, start: float = 0.0, stop: float = 100.0, /) -> float:
        """Return the position of a value between ``start`` and ``stop``; values beyond an end are placed at that end."""
        share = (value - self.low) / (self.high - self.low)
        return start + (stop - start) * min(1.0, max(0.0, share))

    def percent(self, value: float, /) -> str:
        """Return the position of a value on a bar of any width: ``52.40%``."""
        margin = 50 * (1 - _SQUEEZE)
        return f"{self.place(value, margin, 100 - margin):.2f}%"


RATES = Axis(0.0, 1.0, ((0.0, "0"), (0.25, "25"), (0.5, "50"), (0.75, "75"), (1.0, "100\u202f%")))
"""The axis of all rates."""


def choose_axis(values: list[float], /, least: float = 0.0, most: float = 0.0) -> Axis:
    """Choose an axis with round ends around the finite values. ``least``, ``most``: values that it contains in any case."""
    found = [value for value in values if math.isfinite(value)]
    low, high = min([least, *found]), max([most, *found])
    step = choose_step(high - low if high > low else 1.0)
    low, high = step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9)
    count = max(1, round((high - low) / step))
    return Axis(low, low + step * count, tuple((low + i * step, f"{low + i * step:.4g}".replace("-", "−")) for i in range(count + 1)))


def choose_step(span: float, /, most: int = 4) -> float:
    """Return the smallest step of 1, 2 or 5 times a power of ten that divides the span into at most ``most`` parts."""
    power = 10.0 ** math.floor(math.log10(span / most))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power * most >= span * (1 - 1e-9))
