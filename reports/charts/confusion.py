"""The confusion matrix: rows are the true classes, columns the predicted ones."""

from __future__ import annotations

from markupsafe import Markup

from ...harness.api.scorecard import Confusion
from .svg import draw

MOST_CLASSES = 20
_MOST_PAIRS = 10
_SIDE, _LABELS, _FOOT, _LONGEST_LABEL = 260, 92, 34, 13
_DARK = 0.6
"""A cell with at least this share of its row is so dark that its text must be pale."""


def draw_confusion(confusion: Confusion, /) -> Markup:
    """Draw the counts, shaded by their share of the row; of many classes list the pairs that are confused most."""
    wrong = sorted((cell for cell in confusion.cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    if len(confusion.labels) > MOST_CLASSES:
        pairs = (f"{confusion.labels[t]} → {confusion.labels[p]}: {n:,}" for t, p, n in wrong[:_MOST_PAIRS])
        return draw("ol", *(draw("li", draw("bdi", pair)) for pair in pairs), class_="pairs")
    num = len(confusion.labels)
    side = _SIDE / num
    totals = [sum(n for t, _, n in confusion.cells if t == row) for row in range(num)]
    parts = [draw("rect", class_="empty", x=_LABELS, y=0, width=_SIDE, height=_SIDE)]
    for target, predicted, count in confusion.cells:
        share = count / totals[target]
        x, y = _LABELS + side * predicted, side * target
        kind = "right-cell" if target == predicted else "wrong-cell"
        shade = 0.25 + 0.75 * share if target == predicted else 0.2 + 0.5 * share
        parts.append(draw("rect", class_=kind, x=x + 1, y=y + 1, width=side - 2, height=side - 2, fill_opacity=round(shade, 2)))
        css = "pale" if target == predicted and share >= _DARK else "strong"
        middle = y + side / 2 + 4
        parts.append(draw("text", f"{count:,}", class_=css, x=x + side / 2, y=middle - (7 if num <= 4 else 0), text_anchor="middle"))
        if num <= 4:
            parts.append(draw("text", f"{100 * share:.0f}\u202f%", class_=css, x=x + side / 2, y=middle + 9, text_anchor="middle"))
    for place, label in enumerate(confusion.labels):
        middle = side * (place + 0.5)
        parts.append(draw("text", _shorten(label), x=_LABELS - 6, y=middle + 4, text_anchor="end"))
        below = _shorten(label) if num <= 4 else str(place)
        parts.append(draw("text", below, x=_LABELS + middle, y=_SIDE + 15, text_anchor="middle"))
    parts.append(draw("text", "predicted", x=_LABELS + _SIDE / 2, y=_SIDE + 31, text_anchor="middle"))
    return draw("svg", *parts, class_="chart", viewBox=f"0 0 {_LABELS + _SIDE} {_SIDE + _FOOT}", role="img", aria_label=describe(confusion))


def _shorten(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def describe(confusion: Confusion, /, most: int = 3) -> str:
    """Say how many answers are wrong, and which classes are confused most."""
    total = sum(n for *_, n in confusion.cells)
    wrong = sorted((cell for cell in confusion.cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    if not wrong:
        return f"All {total:,} answers are right."
    labels = confusion.labels
    named = "; ".join(f"{_shorten(labels[t])} as {_shorten(labels[p])}: {n:,}" for t, p, n in wrong[:most])
    return f"Rows are the true classes. {sum(n for *_, n in wrong):,} of {total:,} are wrong; {named}."
