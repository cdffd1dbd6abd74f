"""Rows as lines of tables: one column per model, slice or measure, and the rows that a gate reads with its threshold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from markupsafe import Markup

from ...harness.api.comparison import RowChange
from ...harness.api.scorecard import Row, Scorecard
from ...harness.scorecard.measures import title_of
from ..charts.interval import Mark, draw_axis, draw_interval
from ..charts.svg import NOTHING, RATES, Axis
from ..display import get_reason, list_unique, make_finite
from ..values import describe_item, format_bounds, format_estimate, is_rate
from .gates import Reading
from .judged import Judged, RowId, get_id
from .tables import BETTER, Cell, Column, Glossary, Line, Table, Term, group_lines

Part = Literal["model", "slice", "about"]


@dataclass(slots=True)
class Subject:
    """The scorecard with its gates, as all sections of the page read it.

    card: the scorecard.
    readings: its gates, worst first.
    judged: what gates judged of a row, the worst first, by the row's id.
    changes: the change of a row, by the row's id: against the baseline's, or else the first model's.
    """

    card: Scorecard
    readings: Sequence[Reading]
    judged: dict[RowId, list[Judged]] = field(default_factory=dict)
    changes: dict[RowId, RowChange] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for reading in self.readings:
            for line in reading.lines:
                if line.row is not None:
                    self.judged.setdefault(get_id(line.row), []).append(line)
        for comparison in self.card.comparisons:
            for change in comparison.rows:
                self.changes.setdefault(get_id(change.row), change)

    def is_rate(self, row: Row, /) -> bool:
        return is_rate(row, self.card.measures)

    def format_value(self, row: Row, /) -> str:
        return format_estimate(row.estimate, self.is_rate(row), row.unit)

    def format_bounds(self, row: Row, /) -> str:
        return format_bounds(row.estimate, self.is_rate(row))

    def title_of(self, row: Row, /) -> str:
        return title_of(row, self.card.measures)

    def draw(self, row: Row, axis: Axis, marks: Iterable[Mark] = ()) -> Markup:
        """Draw the row's bar; empty without a value."""
        if make_finite(row.estimate).value is None:
            return NOTHING
        asked = (line.threshold for line in self.judged.get(get_id(row), ()) if not line.is_difference)
        return draw_interval(axis, row.estimate, next((found for found in asked if found is not None), None), marks)

    def get_gate(self, row: Row, /) -> tuple[str, str]:
        """Return the icon and the word of the gate's outcome on a row; empty if no gate reads it."""
        judged = self.judged.get(get_id(row))
        return (judged[0].icon, judged[0].word) if judged else ("", "")

    def make_value(self, row: Row, label: str = "", notes: tuple[str, ...] = (), bar: Markup = NOTHING) -> Cell:
        """Return the cell of a row's value, with the icon of its gate. ``notes``: small texts below it."""
        icon, word = self.get_gate(row)
        scored = make_finite(row.estimate).value is not None
        return Cell(
            self.format_value(row), label, icon, word, strong=scored, notes=notes,
            bar=bar, is_unscored=not scored,
        )  # fmt: skip

    def make_bounds(self, row: Row) -> Cell:
        """Return the cell of a row's interval, with why it has none, or a remark."""
        return Cell(self.format_bounds(row), css="bounds", notes=tuple(filter(None, [get_reason(row)])))

    def list_notes(self, row: Row) -> tuple[str, ...]:
        """Return the small texts below a value that stands alone: its interval and n, and why it has none, or a remark."""
        count = " · ".join(filter(None, [self.format_bounds(row), f"n {row.estimate.n:,}"]))
        return tuple(filter(None, [count, get_reason(row)]))

    def make_count(self, row: Row) -> Cell:
        """Return the cell of the number of samples."""
        unscored = row.estimate.n_unscored
        return Cell(f"{row.estimate.n:,}", "n", notes=(f"{unscored:,} not scored",) if unscored else ())


def find_row(subject: Subject, beside: Row, metric: str, control: str = "", /) -> Row | None:
    """Return the row of another metric or control of the same item, model and slice; None if there is none."""
    wanted = (beside.model, beside.key, beside.slice, beside.about)
    return next(
        (r for r in subject.card.rows if (r.metric, r.control) == (metric, control) and (r.model, r.key, r.slice, r.about) == wanted), None
    )


def make_plain_table(
    subject: Subject, glossary: Glossary, name: str, rows: Sequence[Row], axis: Axis | None = None, grouped: bool = False
) -> Table:  # fmt: skip
    """Return a table with a line per row, or with a column per model if several models have the same rows.

    axis: the axis of the bars; by default that of rates, for the rows that are rates.
    grouped: whether the rows of an item stand under a heading with its name.
    """
    keys = [(row.key, row.name) for row in rows]
    if len(set(keys)) < len(keys):
        return make_pivot(subject, glossary, name, rows, "model")
    axis = axis or (RATES if any(subject.is_rate(row) for row in rows) else None)
    columns = [Column("Value"), Column("95 % interval", is_number=False)]
    if axis is not None:
        columns.append(Column("Interval, drawn", is_number=False, axis=draw_axis(axis)))
    lines = []
    for row in rows:
        cells = [subject.make_value(row), subject.make_bounds(row)]
        if axis is not None:
            drawn = axis is not RATES or subject.is_rate(row)
            cells.append(Cell(bar=subject.draw(row, axis) if drawn else NOTHING, css="drawn"))
        line = make_line(subject, glossary, row, (*cells, subject.make_count(row)))
        lines.append((line.where, replace(line, where="")) if grouped else ("", line))
    return Table(name, "Metric", (*columns, Column("n")), group_lines(lines), "plain" if axis is not None else "")


def make_line(subject: Subject, glossary: Glossary, row: Row, cells: tuple[Cell, ...], /) -> Line:
    """Return a line that is named by the row's metric, item and model."""
    term = glossary.explain(row)
    where = " · ".join(filter(None, [describe_item(row.key), row.model]))
    return Line(
        Term(subject.title_of(row), term.anchor),
        where,
        cells,
        BETTER[False] if row.higher_is_better is False and row.dimension != "calibration" else "",
    )


def make_pivot(subject: Subject, glossary: Glossary, name: str, rows: Sequence[Row], part: Part, /) -> Table:
    """Return a table with a column per model, slice or class of the rows; each cell has a value, its interval and its bar.

    part: the part of a row that names its column. Rows that differ in it alone share a line.
    """
    columns = list_unique(_get_part(row, part) for row in rows)
    lines: dict[RowId, tuple[Row, dict[str, Row]]] = {}
    for row in rows:
        plain = _without_part(row, part)
        lines.setdefault(get_id(plain), (plain, {}))[1][_get_part(row, part)] = row
    made = [
        ("", make_line(subject, glossary, plain, tuple(_make_full_cell(subject, found.get(name), name or "all") for name in columns)))
        for plain, found in lines.values()
    ]
    return Table(name, "Metric", tuple(Column(name or "all") for name in columns), group_lines(made), "wide")


def _get_part(row: Row, part: Part) -> str:
    return {"model": row.model, "slice": row.slice, "about": row.about}[part]


def _without_part(row: Row, part: Part) -> Row:
    return replace(row, model="") if part == "model" else replace(row, slice="") if part == "slice" else replace(row, about="")


def _make_full_cell(subject: Subject, row: Row | None, label: str) -> Cell:
    if row is None:
        return Cell("", label)
    bar = subject.draw(row, RATES) if subject.is_rate(row) else NOTHING
    return subject.make_value(row, label, subject.list_notes(row), bar)
