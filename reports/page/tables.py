"""Tables of the page: a head, columns and cells, and the words that the page explains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from markupsafe import Markup

from ...harness.api.scorecard import Measure, Row
from ...harness.scorecard.measures import explain
from ..charts.svg import NOTHING
from .methods import name_anchor


@dataclass(frozen=True, slots=True)
class Term:
    """A word with its popover. ``anchor``: the id of the popover; empty if nothing explains the word."""

    word: str
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Help:
    """A popover: the word, a sentence, the name in gates, and the anchor of how it is computed (empty for exact counts)."""

    anchor: str
    word: str
    sentence: str
    code: str
    method: str


@dataclass(slots=True)
class Glossary:
    """The popovers of a part of the page.

    A folded part has its own, because only parts that are open are in the document.
    """

    measures: Mapping[str, Measure]
    prefix: str
    helps: dict[str, Help] = field(default_factory=dict)

    def explain(self, row: Row, word: str = "") -> Term:
        """Return the row's measure as a word with a popover. ``word``: by default the measure's title."""
        measure = self.measures.get(row.metric)
        if measure is None:
            return Term(word or row.name)
        plain = Row(row.model, row.key, row.metric, row.dimension, row.estimate)
        if row.metric not in self.helps:
            anchor = f"{self.prefix}-{len(self.helps) + 1}"
            self.helps[row.metric] = Help(anchor, measure.title, explain(plain, self.measures), row.metric, name_anchor(measure.kind))
        return Term(word or measure.title, self.helps[row.metric].anchor)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: an icon, a text, small texts below it, and a bar.

    label: the column's name, which a narrow window shows before the text.
    strong: whether the text is the row's main number.
    bar: the drawn interval; below the text if there is one.
    css: the class of the cell: ``n`` for a number, ``bounds`` for an interval, ``drawn`` for a bar, ``prose`` for words.
    """

    text: str = ""
    label: str = ""
    icon: str = ""
    icon_word: str = ""
    strong: bool = False
    notes: tuple[str, ...] = ()
    bar: Markup = NOTHING
    css: str = "n"
    is_unscored: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head. ``axis``: the axis of the bars below it."""

    title: str = ""
    term: Term | None = None
    is_number: bool = True
    axis: Markup = NOTHING


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table. ``term``: its metric; ``where``: its item and model; ``better``: which way is better."""

    term: Term
    where: str
    cells: tuple[Cell, ...]
    better: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. ``name``: its accessible name. ``groups``: lines under a heading; an empty heading is left out."""

    name: str
    first: str
    columns: tuple[Column, ...]
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    css: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its title and a sentence about what it shows."""

    title: str
    drawing: Markup
    caption: str


@dataclass(frozen=True, slots=True)
class Fold:
    """A folded part of the page, which the script adds to the document when it is opened or printed."""

    title: str
    tables: tuple[Table, ...]
    helps: tuple[Help, ...] = ()
    note: str = ""


def group_lines(lines: Iterable[tuple[str, Line]], /) -> tuple[tuple[str, tuple[Line, ...]], ...]:
    """Group (heading, line) pairs by heading, in the order of the headings' first occurrence."""
    groups: dict[str, list[Line]] = {}
    for heading, line in lines:
        groups.setdefault(heading, []).append(line)
    return tuple((heading, tuple(found)) for heading, found in groups.items())


BETTER = {True: "high is good", False: "low is good", None: ""}
"""Which way is better, in words."""
