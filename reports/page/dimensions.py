"""The dimensions: headline rows open, all other rows folded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...harness.api.scorecard import Row
from ...harness.scorecard.headlines import choose_headlines
from ..display import format_count, group_by_dimension
from .attacks import make_robustness
from .costs import make_efficiency
from .explanations import make_interpretability
from .figures import list_confusions, list_reliabilities
from .rows import Subject, make_pivot, make_plain_table
from .scores import CALIBRATION
from .tables import Figure, Fold, Glossary, Table

SENTENCES = {
    "quality": "How well the models do their tasks.",
    "calibration": "Whether their confidence can be believed; low is good.",
    "robustness": "What is left under attack, by the task's own scoring; worst first.",
    "safety": "Whether the models do what they should not.",
    "interpretability": "Whether explanations show what the model uses, against a random order and a model with random weights.",
    "efficiency": "What the answers cost.",
}


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension. ``table``: its headline rows; None if all are folded."""

    anchor: str
    title: str
    sentence: str
    table: Table | None
    figures: tuple[Figure, ...]
    folds: tuple[Fold, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What a dimension shows. ``rest``: the rows that neither the table nor the figures show, for folds."""

    table: Table | None
    rest: list[Row]
    figures: tuple[Figure, ...] = ()
    folds: tuple[Fold, ...] = ()


def make_dimensions(subject: Subject, glossary: Glossary, /) -> list[Dimension]:
    """Return the dimensions that have rows; efficiency also if there are timings."""
    groups = group_by_dimension(subject.card)
    if subject.card.timing:
        groups.setdefault("efficiency", [])
    made = []
    for place, (name, rows) in enumerate(groups.items(), 1):
        anchor = name if name in SENTENCES else f"dimension-{place}"
        content = _make_content(subject, glossary, name, rows)
        folds = (*content.folds, *_fold_rest(subject, anchor, name, content.rest))
        made.append(Dimension(anchor, name.capitalize(), SENTENCES.get(name, ""), content.table, content.figures, folds))
    return made


def _make_content(subject: Subject, glossary: Glossary, name: str, rows: list[Row]) -> Content:
    if name == "robustness":
        return Content(*make_robustness(subject, glossary, rows))
    if name == "interpretability":
        return Content(*make_interpretability(subject, glossary, rows))
    if name == "efficiency":
        return Content(*make_efficiency(subject, glossary, rows))
    headlines = choose_headlines(rows, name)
    axis = CALIBRATION if name == "calibration" and all(row.metric == "ece" for row in headlines) else None
    table = make_plain_table(subject, glossary, name.capitalize(), headlines, axis) if headlines else None
    figures = {"quality": list_confusions, "calibration": list_reliabilities}.get(name)
    return Content(table, [row for row in rows if row not in headlines], tuple(figures(subject)) if figures else ())


def _fold_rest(subject: Subject, anchor: str, name: str, rows: list[Row]) -> Iterator[Fold]:
    """Yield the folds of the other rows: plain ones, those about a class or word, and those by slice."""
    plain = [row for row in rows if not row.about and not row.slice]
    about = [row for row in rows if row.about and not row.slice]
    sliced = [row for row in rows if row.slice]
    if plain:
        glossary = Glossary(subject.card.measures, f"more-{anchor}")
        table = make_plain_table(subject, glossary, f"More {name} rows", plain, grouped=True)
        yield Fold(f"{format_count(len(plain), f'more {name} row')}", (table,), tuple(glossary.helps.values()))
    if about:
        glossary = Glossary(subject.card.measures, f"about-{anchor}")
        table = make_about_table(subject, glossary, f"{name.capitalize()} by class", about)
        yield Fold("By class or part", (table,), tuple(glossary.helps.values()))
    if sliced:
        glossary = Glossary(subject.card.measures, f"slices-{anchor}")
        wanted = {(row.model, row.item, row.metric, row.control, row.about) for row in sliced}
        whole = [r for r in subject.card.rows if not r.slice and (r.model, r.item, r.metric, r.control, r.about) in wanted]
        table = make_pivot(subject, glossary, f"{name.capitalize()} by slice", [*whole, *sliced], "slice")
        yield Fold("By slice", (table,), tuple(glossary.helps.values()))


def make_about_table(subject: Subject, glossary: Glossary, name: str, rows: list[Row], /) -> Table:
    """Return a table with a column per class, judge or other thing that rows are about; of many, a line for each."""
    if len({row.about for row in rows}) <= 4:
        return make_pivot(subject, glossary, name, rows, "about")
    return make_plain_table(subject, glossary, name, rows, grouped=True)
