"""The comparison of two models: what is worse, better, or not shown to have changed, and the samples that flipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...harness.api.comparison import BETTER, NO_CHANGE, NOT_TESTED, WORSE, Comparison, Flip, RowChange
from ...harness.api.scorecard import Row
from ..display import clip, format_count
from ..values import describe_item, format_bounds, format_estimate
from .rows import Subject
from .tables import Cell, Column, Fold, Glossary, Line, Table, Term, group_lines

ICONS = {WORSE: "worse", BETTER: "better", NO_CHANGE: "same", NOT_TESTED: "same"}
_MOST_FLIPS = 100
_LONGEST_OUTPUT = 200


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison. ``tally``: (icon, sentence) of each verdict. ``table``: the rows that changed; None if none did."""

    title: str
    tally: tuple[tuple[str, str], ...]
    table: Table | None
    folds: tuple[Fold, ...]
    notes: tuple[str, ...]


def make_comparisons(subject: Subject, glossary: Glossary, /) -> list[Compared]:
    """Return the comparisons of the scorecard."""
    return [_make_comparison(subject, glossary, found, place) for place, found in enumerate(subject.card.comparisons, 1)]


def _make_comparison(subject: Subject, glossary: Glossary, found: Comparison, place: int) -> Compared:
    by_verdict = {verdict: found.of_verdict(verdict) for verdict in ICONS}
    tally = tuple((ICONS[verdict], f"{verdict} on {len(changes):,}") for verdict, changes in by_verdict.items() if changes)
    changed = [*by_verdict[WORSE], *by_verdict[BETTER]]
    same = [*by_verdict[NO_CHANGE], *by_verdict[NOT_TESTED]]
    folds = []
    if same:
        own = Glossary(subject.card.measures, f"same-{place}")
        unchanged = _make_table(subject, own, "Rows without a shown change", same)
        folds.append(Fold(f"{format_count(len(same), 'row')} without a shown change", (unchanged,), tuple(own.helps.values())))
    if found.flips:
        shown = found.flips[:_MOST_FLIPS]
        note = f"The first {_MOST_FLIPS:,} of {len(found.flips):,}." if len(found.flips) > _MOST_FLIPS else ""
        folds.append(Fold(format_count(len(found.flips), "flip"), (_make_flips(shown),), note=note))
    table = _make_table(subject, glossary, f"{found.candidate} against {found.baseline}", changed) if changed else None
    return Compared(f"{found.candidate} against {found.baseline}", tally, table, tuple(folds), (*found.mismatches, *found.notes))


def _make_table(subject: Subject, glossary: Glossary, name: str, changes: Sequence[RowChange]) -> Table:
    columns = (Column("Change", is_number=False), Column("Baseline"), Column("Candidate"), Column("Difference"),
               Column("95 % interval", is_number=False), Column("p, adjusted"), Column("n"))  # fmt: skip
    lines = [("", _make_line(subject, glossary, change)) for change in changes]
    return Table(name, "Metric", columns, group_lines(lines), "changes")


def _make_line(subject: Subject, glossary: Glossary, change: RowChange) -> Line:
    row, rate = change.row, subject.is_rate(change.row)
    p_value = change.adjusted_p_value
    cells = (
        Cell(change.verdict, icon=ICONS.get(change.verdict, "same"), css="prose"),
        Cell(format_estimate(change.baseline, rate, row.unit), "baseline"),
        Cell(format_estimate(row.estimate, rate, row.unit), "candidate"),
        Cell(format_difference(row, change, rate), "difference", strong=True),
        Cell(format_bounds(change.difference, rate), css="bounds", notes=tuple(filter(None, [change.difference.reason]))),
        Cell("" if p_value is None else f"{p_value:.2g}", "p"),
        Cell(f"{change.difference.n:,}", "n"),
    )
    return Line(Term(subject.title_of(row), glossary.explain(row).anchor), describe_item(row.key), cells)


def format_difference(row: Row, change: RowChange, rate: bool, /) -> str:
    """Format a difference with its sign; that of rates in points of a percent."""
    value = change.difference.value
    text = format_estimate(change.difference, rate, row.unit)
    return f"+{text}" if value is not None and value > 0 else text


def _make_flips(flips: Sequence[Flip]) -> Table:
    columns = (Column("Change", is_number=False), Column("Target", is_number=False), Column("Baseline", is_number=False),
               Column("Candidate", is_number=False))  # fmt: skip
    lines = [(describe_item(flip.key), Line(Term(flip.sample_id), flip.slice, _make_flip_cells(flip))) for flip in flips]
    return Table("Flips", "Sample", columns, group_lines(lines), "changes")


def _make_flip_cells(flip: Flip) -> tuple[Cell, ...]:
    icon = {"regressed": "worse", "fixed": "better"}.get(flip.change, "same")
    texts = (("target", flip.target), ("baseline", flip.before), ("candidate", flip.after))
    return (
        Cell(flip.change, icon=icon, css="prose"),
        *(Cell(clip(text or "", _LONGEST_OUTPUT), label, css="prose") for label, text in texts),
    )
