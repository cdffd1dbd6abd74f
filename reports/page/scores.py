"""Rows as scores on a card: a value with its interval, threshold, controls and change."""

from __future__ import annotations

from dataclasses import dataclass, replace

from markupsafe import Markup

from ...harness.api.comparison import BETTER as IS_BETTER
from ...harness.api.comparison import NO_CHANGE, NOT_TESTED, WORSE, RowChange
from ...harness.api.scorecard import Row
from ..charts.interval import Mark
from ..charts.svg import NOTHING, RATES, Axis, choose_axis
from ..display import make_finite
from ..values import choose_scale, describe_item, format_bounds, format_estimate, format_number
from .judged import get_id
from .rows import Subject, find_row
from .tables import BETTER, Glossary, Term

CHANGES = {WORSE: "worse", IS_BETTER: "better", NO_CHANGE: "same", NOT_TESTED: "same"}
"""The icon of each verdict on a change."""

CALIBRATION = Axis(0.0, 0.4, ((0.0, "0"), (0.1, "0.1"), (0.2, "0.2"), (0.3, "0.3"), (0.4, "0.4")))
"""The axis of calibration errors."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a row. ``icon``: ``worse``, ``better`` or ``same``. ``text``: with its interval. ``was``: the value before."""

    icon: str
    word: str
    text: str
    was: str


@dataclass(frozen=True, slots=True)
class Score:
    """A row on a card. ``below``: its interval, threshold and controls in words. ``change``: to the baseline; None without one.
    ``shapes``: those of the marks on its bar.

    is_small: whether it is another task's headline, without a bar.
    """

    term: Term
    value: str
    icon: str
    icon_word: str
    below: str
    bar: Markup
    is_small: bool = False
    change: Change | None = None
    shapes: tuple[str, ...] = ()


def make_score(subject: Subject, glossary: Glossary, row: Row, is_small: bool, /) -> Score:
    """Return a row as a score on its model's card."""
    join = "on" if row.key.is_task else "under" if row.dimension == "robustness" else "of"
    several = len({r.key.task for r in subject.card.rows if r.model == row.model}) > 1
    name = describe_item(row.key) if several or row.key.is_task else row.key.title
    term = glossary.explain(row, f"{subject.title_of(row)} {join} {name}")
    clean, random = find_row(subject, row, "clean_accuracy"), find_row(subject, row, row.metric, "random")
    marks, axis = [], RATES if subject.is_rate(row) else None
    below = [subject.format_bounds(row) or row.estimate.reason]
    below += [
        f"asked {line.target}" if not line.is_difference else line.target for line in subject.judged.get(get_id(row), ()) if line.target
    ]
    if row.metric == "robust_accuracy" and clean is not None and clean.estimate.value is not None:
        below.append(f"without attack {subject.format_value(clean)}")
        marks.append(Mark("tick", clean.estimate.value))
    if random is not None and random.estimate.value is not None:
        below.append(f"random order {format_number(random.estimate.value)}")
        marks.append(Mark("ring", random.estimate.value))
        values = [v for r in (row, random) for v in (r.estimate.value, r.estimate.low, r.estimate.high) if v is not None]
        axis = choose_axis(values, most=1.0)
    if row.metric == "ece":
        axis = CALIBRATION
    if axis is not RATES and row.higher_is_better is not None and not is_small:
        below.append(BETTER[row.higher_is_better])
    change = subject.changes.get(get_id(row))
    if change is not None and change.baseline.value is not None:
        marks.append(Mark("triangle", change.baseline.value))
    bar = subject.draw(row, axis, marks) if axis is not None and not is_small else NOTHING
    value = format_estimate(row.estimate, subject.is_rate(row), row.unit)
    shapes = tuple(mark.shape for mark in marks) if bar else ()
    about = " · ".join(filter(None, below))
    return Score(term, value, *subject.get_gate(row), about, bar, is_small, _make_change(subject, change), shapes)


def _make_change(subject: Subject, change: RowChange | None) -> Change | None:
    """Return a change in words; None if there is none to tell."""
    d, was = (change.difference, change.baseline.value) if change is not None else (None, None)
    if change is None or d is None or d.value is None or was is None:
        return None
    scale = choose_scale(change.row, subject.card.measures, is_difference=True)
    bounds = f" ({scale.format_bounds(d.low, d.high)})" if d.low is not None and d.high is not None else ""
    return Change(CHANGES.get(change.verdict, "same"), change.verdict, f"{scale.format(d.value)}{bounds}", scale.absolute.format(was))


def make_speed(glossary: Glossary, row: Row, is_small: bool, /) -> Score:
    """Return a row with seconds per sample as a speed."""
    e = make_finite(row.estimate)
    inverse = replace(e, value=_invert(e.value), low=_invert(e.high), high=_invert(e.low))
    bounds = format_bounds(inverse, False) or "no interval: measured in too few chunks"
    term = glossary.explain(row, f"Speed on {row.key.task}")
    below = "" if is_small else f"{bounds} · no gate should rest on it"
    return Score(term, format_estimate(inverse, False, "samples/s"), "", "", below, NOTHING, is_small)


def _invert(seconds: float | None) -> float | None:
    return 1 / seconds if seconds else None
