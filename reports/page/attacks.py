"""Robustness: one line per attack, with its measures as columns, and its charts."""

from __future__ import annotations

from collections.abc import Iterator

from ...harness.api.scorecard import Row
from ..charts.interval import Mark, draw_axis
from ..charts.svg import RATES
from ..display import make_finite
from ..values import describe_item, format_number
from .figures import list_attack_figures
from .rows import Subject, find_row
from .tables import Cell, Column, Figure, Fold, Glossary, Line, Table, Term, group_lines

_SHOWN = ("robust_accuracy", "clean_accuracy", "attack_success_rate", "median_num_queries")
_CHANGES = {
    "mean_words_changed": "words", "mean_chars_changed": "letters", "mean_linf": "largest pixel", "mean_l2": "L2",
    "mean_tokens_added": "tokens",
}  # fmt: skip
"""The sizes of a change, with their units."""

Content = tuple[Table | None, list[Row], tuple[Figure, ...], tuple[Fold, ...]]


def make_robustness(subject: Subject, glossary: Glossary, rows: list[Row], /) -> Content:
    """Return the table of attacks, worst first, and the rows that it does not show."""
    attacks = [row for row in rows if row.metric == "robust_accuracy" and not (row.about or row.slice or row.control)]
    attacks += [
        row for row in rows if row.metric == "attack_success_rate" and not (row.about or row.slice or row.control)
        and find_row(subject, row, "robust_accuracy") is None
    ]  # fmt: skip
    if not attacks:
        return None, rows, (), ()
    attacks.sort(key=lambda row: _kept(row) if make_finite(row.estimate).value is not None else 2.0)
    columns = (
        Column("Without attack", _explain(subject, glossary, attacks, "clean_accuracy", "Without attack")),
        Column("Under attack", _explain(subject, glossary, attacks, "robust_accuracy", "Under attack")),
        Column("95 % interval", is_number=False),
        Column("Interval, drawn", is_number=False, axis=draw_axis(RATES)),
        Column("Success", _explain(subject, glossary, attacks, "attack_success_rate", "Success")),
        Column("Queries", _explain(subject, glossary, attacks, "median_num_queries", "Queries")),
        Column("Change made", is_number=False), Column("n"),
    )  # fmt: skip
    lines = [("", _make_line(subject, row)) for row in attacks]
    shown = {(row.model, row.item) for row in attacks}
    rest = [row for row in rows if (row.model, row.item) not in shown or row.metric not in _SHOWN or row.about or row.slice or row.control]
    return Table("Robustness", "Attack", columns, group_lines(lines), "attacks"), rest, tuple(list_attack_figures(subject, rows)), ()


def _explain(subject: Subject, glossary: Glossary, attacks: list[Row], metric: str, word: str) -> Term:
    found = (row if row.metric == metric else find_row(subject, row, metric) for row in attacks)
    row = next((row for row in found if row is not None), None)
    return glossary.explain(row, word) if row is not None else Term(word)


def _kept(row: Row) -> float:
    """Return the share that is left under attack."""
    value = row.estimate.value or 0.0
    return value if row.metric == "robust_accuracy" else 1.0 - value


def _make_line(subject: Subject, row: Row) -> Line:
    robust = row if row.metric == "robust_accuracy" else None
    clean, success, queries = (find_row(subject, row, m) for m in ("clean_accuracy", "attack_success_rate", "median_num_queries"))
    value = clean.estimate.value if clean is not None else None
    cells = (
        Cell(subject.format_value(clean) if clean else "", "without attack"),
        subject.make_value(robust, "under attack") if robust else Cell(label="under attack"),
        subject.make_bounds(row),
        Cell(bar=subject.draw(row, RATES, () if value is None else (Mark("tick", value),)), css="drawn"),
        Cell(subject.format_value(success) if success else "", "success", strong=robust is None),
        Cell(format_number(queries.estimate.value, whole=True) if queries and queries.estimate.value is not None else "", "queries"),
        Cell(", ".join(_describe_change(subject, row)), "change", css="prose"),
        subject.make_count(row),
    )
    return Line(Term(describe_item(row.key)), row.model, cells)


def _describe_change(subject: Subject, row: Row) -> Iterator[str]:
    """Yield the mean sizes of the changes: ``2.3 words``."""
    for metric, unit in _CHANGES.items():
        found = find_row(subject, row, metric)
        if found is not None and (value := make_finite(found.estimate).value) is not None:
            yield f"{unit} {value:.2g}" if unit in ("L2", "largest pixel") else f"{value:.1f} {unit}"
