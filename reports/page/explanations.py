"""Interpretability: the faithfulness of explanations beside their controls, and folded parts for shift and words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ...harness.api.scorecard import Row
from ..charts.interval import Mark, draw_axis
from ..charts.svg import NOTHING, Axis, choose_axis
from ..display import format_count, list_unique, make_finite
from ..values import describe_item, format_number
from .rows import Subject, find_row
from .tables import BETTER, Cell, Column, Figure, Fold, Glossary, Line, Table, Term, group_lines

_CONTROLS = (("random", "ring"), ("randomised", "diamond"))
_HEADLINES = ("comprehensiveness", "sufficiency")

Content = tuple[Table | None, list[Row], tuple[Figure, ...], tuple[Fold, ...]]


def make_interpretability(subject: Subject, glossary: Glossary, rows: list[Row], /) -> Content:
    """Return the table of headline scores beside their controls, and a fold for each kind of the others."""
    controlled = [row for row in rows if not row.control and not row.slice and not row.about and _has_control(subject, row)]
    headlines = [row for row in controlled if row.metric in _HEADLINES] or controlled[:2]
    table = make_control_table(subject, glossary, "Faithfulness", headlines) if headlines else None
    more = [row for row in controlled if row not in headlines]
    folds = []
    if more:
        title = f"{format_count(len(more), 'more score')} beside controls"
        folds.append(_fold(subject, "faithfulness", title, lambda own: [make_control_table(subject, own, "More scores", more)]))
    shown = {(row.model, row.item, row.metric) for row in controlled}
    rest = [row for row in rows if (row.model, row.item, row.metric) not in shown or row.about or row.slice]
    moved = [row for row in rest if row.slice and row.key.kind == "shift" and not row.control.startswith("minus")]
    if moved:
        title = "Does the explanation move when an attack changes the answer?"
        folds.append(_fold(subject, "shift", title, lambda own: _make_shift_tables(subject, own, moved)))
    words = [row for row in rest if row.about and row.key.kind == "reliance"]
    if words:
        folds.append(_fold(subject, "words", "Words that carry a class", lambda own: _make_word_tables(subject, own, words)))
    return table, [row for row in rest if row not in moved and row not in words], (), tuple(folds)


def _fold(subject: Subject, prefix: str, title: str, make: Callable[[Glossary], Iterable[Table]]) -> Fold:
    """Return a fold with the tables that ``make`` returns, and the popovers that these need."""
    glossary = Glossary(subject.card.measures, prefix)
    return Fold(title, tuple(make(glossary)), tuple(glossary.helps.values()))


def _has_control(subject: Subject, row: Row) -> bool:
    return any(find_row(subject, row, row.metric, control) is not None for control, _ in _CONTROLS)


def make_control_table(subject: Subject, glossary: Glossary, name: str, rows: list[Row], /) -> Table:
    """Return a table of scores beside their controls, on one axis if all lie between -1 and 1."""
    beside = [find_row(subject, row, row.metric, control) for row in rows for control, _ in _CONTROLS]
    values = [v for r in (*rows, *beside) if r is not None for v in (r.estimate.value, r.estimate.low, r.estimate.high) if v is not None]
    drawn = [row for row in rows if _is_bounded(subject, row)]
    axis = choose_axis([v for v in values if -1 <= v <= 1], most=1.0)
    columns = [Column("Value"), Column("95 % interval", is_number=False), Column("Random"), Column("Randomised")]
    if drawn:
        columns.append(Column("Interval, drawn", is_number=False, axis=draw_axis(axis)))
    columns += [Column("Against controls", is_number=False), Column("n")]
    lines = [
        (f"{describe_item(row.key)} · {row.model}", _make_line(subject, glossary, row, axis if row in drawn else None, bool(drawn)))
        for row in rows
    ]
    return Table(name, "Score", tuple(columns), group_lines(lines), "controls")


def _is_bounded(subject: Subject, row: Row) -> bool:
    """Tell whether a score and its controls lie between -1 and 1 by their kind of number."""
    measure = subject.card.measures.get(row.metric)
    return measure is not None and measure.kind.startswith(("mean in [0, 1]", "mean in [-1, 1]", "rate"))


def _make_line(subject: Subject, glossary: Glossary, row: Row, axis: Axis | None, has_bars: bool) -> Line:
    found = [(find_row(subject, row, row.metric, control), shape) for control, shape in _CONTROLS]
    marks = [Mark(shape, r.estimate.value) for r, shape in found if r is not None and r.estimate.value is not None]
    cells = [subject.make_value(row), subject.make_bounds(row)]
    for (control, _), (other, _) in zip(_CONTROLS, found, strict=True):
        value = make_finite(other.estimate).value if other is not None else None
        cells.append(Cell("" if value is None else format_number(value), control))
    if has_bars:
        cells.append(Cell(bar=subject.draw(row, axis, marks) if axis is not None else NOTHING, css="drawn"))
    icon, word = judge_controls(subject, row)
    cells += [Cell(word, icon=icon, css="prose"), subject.make_count(row)]
    return Line(glossary.explain(row), "", tuple(cells), BETTER[row.higher_is_better])


def judge_controls(subject: Subject, row: Row, /) -> tuple[str, str]:
    """Return an icon and a word for whether a score beats its controls: all of their paired differences lie on the right side of 0."""
    if row.higher_is_better is None:
        return "", ""
    outcomes = []
    for control, _ in _CONTROLS:
        difference = find_row(subject, row, row.metric, f"minus_{control}")
        if difference is None:
            continue
        e = make_finite(difference.estimate)
        if e.low is None or e.high is None:
            outcomes.append("unknown")
        else:
            low, high = (e.low, e.high) if row.higher_is_better else (-e.high, -e.low)
            outcomes.append("better" if low > 0 else "worse" if high < 0 else "same")
    if not outcomes:
        return "", ""
    if all(outcome == "better" for outcome in outcomes):
        return "ok", "beats both" if len(outcomes) > 1 else "beats it"
    return ("no", "worse than a control") if "worse" in outcomes else ("", "not told apart")


def _make_shift_tables(subject: Subject, glossary: Glossary, rows: list[Row]) -> Iterator[Table]:
    """Yield a table per model and item: a line per score, a column per slice and control."""
    for model, item in dict.fromkeys((row.model, row.item) for row in rows):
        own = [row for row in rows if (row.model, row.item) == (model, item)]
        slices, controls = list_unique(row.slice for row in own), list_unique(row.control for row in own)
        pairs = [(part, control) for part in slices for control in controls if any((r.slice, r.control) == (part, control) for r in own)]
        columns = tuple(Column(f"{part.replace('_', ' ')}{', ' + control.replace('_', ' ') if control else ''}") for part, control in pairs)
        lines = []
        for metric in list_unique(row.metric for row in own):
            found = {(row.slice, row.control): row for row in own if row.metric == metric}
            cells = tuple(_make_shift_cell(subject, found.get(pair), column.title) for pair, column in zip(pairs, columns, strict=True))
            lines.append(("", Line(glossary.explain(next(iter(found.values()))), "", cells)))
        yield Table(f"{item} · {model}", "Score", columns, group_lines(lines), "wide")


def _make_shift_cell(subject: Subject, row: Row | None, label: str) -> Cell:
    if row is None:
        return Cell("", label)
    return subject.make_value(row, label, subject.list_notes(row))


def _make_word_tables(subject: Subject, glossary: Glossary, rows: list[Row]) -> Iterator[Table]:
    """Yield a table per model and item: a line per word, a column per measure."""
    for model, item in dict.fromkeys((row.model, row.item) for row in rows):
        own = [row for row in rows if (row.model, row.item) == (model, item)]
        metrics = list_unique(row.metric for row in own)
        columns = tuple(
            Column(term.word, term) for term in (glossary.explain(next(r for r in own if r.metric == metric)) for metric in metrics)
        )
        lines = []
        for word in list_unique(row.about for row in own):
            found = {row.metric: row for row in own if row.about == word}
            cells = tuple(
                _make_shift_cell(subject, found.get(metric), column.title) for metric, column in zip(metrics, columns, strict=True)
            )
            lines.append(("", Line(Term(word), "", cells)))
        yield Table(f"{item} · {model}", "Word", columns, group_lines(lines), "wide")
