"""Efficiency: where the time went, and what each item cost."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...harness.api.item_key import ItemKey
from ...harness.api.scorecard import Row
from ...harness.scorecard.names import COSTS
from ..charts.cost import KINDS, draw_cost, draw_legend
from ..display import format_count
from ..values import describe_item, format_number
from .rows import Subject
from .tables import Cell, Column, Figure, Fold, Glossary, Line, Table, Term, group_lines

Item = tuple[str, ItemKey]
Content = tuple[Table | None, list[Row], tuple[Figure, ...], tuple[Fold, ...]]


def make_efficiency(subject: Subject, glossary: Glossary, rows: list[Row], /) -> Content:
    """Return the time of each model by kind of work, and a fold with the cost of each item."""
    own = Glossary(subject.card.measures, "cost")
    costs = [row for row in rows if row.metric in COSTS and not (row.about or row.slice or row.control)]
    rest = [row for row in rows if row not in costs]
    items = _list_items(subject, costs)
    table = _make_cost_table(subject, own, items, costs)
    folds = (Fold(f"Cost of {format_count(sum(len(lines) for _, lines in table.groups), 'item')}", (table,), tuple(own.helps.values())),)
    return _make_time_table(subject, items), rest, (), folds if table.groups else ()


def _list_items(subject: Subject, costs: list[Row]) -> list[Item]:
    """Return the items with a cost or a timing, in order."""
    counted = {(row.model, row.key) for row in costs}
    items = dict.fromkeys((row.model, row.key) for row in subject.card.rows)
    return [(model, key) for model, key in items if (model, key) in counted or f"{model}/{key}" in subject.card.timing]


def _make_time_table(subject: Subject, items: list[Item]) -> Table | None:
    """Return a line per model with its seconds, stacked by kind of work; None without timings."""
    spent: dict[str, dict[str, float]] = {}
    for model, key in items:
        entry = subject.card.timing.get(f"{model}/{key}")
        seconds = entry.get("seconds") if isinstance(entry, Mapping) else None
        if isinstance(seconds, int | float) and math.isfinite(seconds):
            kind = key.kind if key.kind in KINDS else ""
            of_model = spent.setdefault(model, {})
            of_model[kind] = of_model.get(kind, 0.0) + seconds
    most = max((sum(of_model.values()) for of_model in spent.values()), default=0.0)
    if not most:
        return None
    legend = draw_legend([kind for of_model in spent.values() for kind in of_model])
    lines = []
    for model, of_model in spent.items():
        words = ", ".join(f"{KINDS[kind]} {format_number(seconds)}" for kind, seconds in of_model.items() if len(of_model) > 1)
        cells = (Cell(f"{format_number(sum(of_model.values()))} s", "time", strong=True), Cell(bar=draw_cost(of_model, most), css="drawn"),
                 Cell(words, css="prose small"))  # fmt: skip
        lines.append(("", Line(Term(model), "", cells)))
    columns = (Column("Time"), Column("Time by kind of work, drawn", is_number=False, axis=legend), Column("Seconds", is_number=False))
    return Table("Time", "Model", columns, group_lines(lines), "time")


def _make_cost_table(subject: Subject, glossary: Glossary, items: list[Item], rows: list[Row]) -> Table:
    metrics = [metric for metric in COSTS if any(row.metric == metric and row.estimate.value for row in rows)]
    terms = [glossary.explain(next(row for row in rows if row.metric == metric)) for metric in metrics]
    columns = (Column("Seconds"), Column("Samples/s"), *(Column(term.word, term) for term in terms))
    found = {(row.model, row.key, row.metric): row for row in rows}
    lines = []
    for model, key in items:
        spent = subject.card.timing.get(f"{model}/{key}")
        spent = spent if isinstance(spent, Mapping) else {}
        cells = [Cell(_format(spent.get("seconds")), "seconds"), Cell(_format(spent.get("samples_per_s")), "samples/s")]
        for metric, term in zip(metrics, terms, strict=True):
            row = found.get((model, key, metric))
            cells.append(Cell(f"{row.estimate.value:,.0f}" if row is not None and row.estimate.value else "", term.word.lower()))
        lines.append(("", Line(Term(describe_item(key)), model, tuple(cells))))
    return Table("Cost of items", "Item", columns, group_lines(lines), "cost")


def _format(value: object) -> str:
    return format_number(float(value)) if isinstance(value, int | float) else ""
