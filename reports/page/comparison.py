"""The comparison of two models: what is worse, better, or not shown to have changed, and the samples that flipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...harness.api.comparison import BETTER, NO_CHANGE, NOT_TESTED, WORSE, Comparison, Flip, RowChange
from ..charts.difference import choose_difference_axis
from ..charts.interval import Mark, draw_axis, draw_interval
from ..charts.svg import NOTHING, Axis
from ..display import clip, format_count, make_finite
from ..values import choose_scale, describe_item, format_estimate
from .cards import CHANGES
from .rows import Subject
from .tables import Cell, Column, Fold, Glossary, Line, Table, Term, group_lines

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
    by_verdict = {verdict: found.of_verdict(verdict) for verdict in CHANGES}
    tally = tuple((CHANGES[verdict], f"{verdict} on {len(changes):,}") for verdict, changes in by_verdict.items() if changes)
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
    rates = [change.difference for change in changes if subject.is_rate(change.row)]
    axis = choose_difference_axis(x for d in map(make_finite, rates) for x in (d.value, d.low, d.high) if x is not None)
    columns = [Column("Change", is_number=False), Column("Baseline"), Column("Candidate"), Column("Difference"),
               Column("95 % interval", is_number=False), Column("p, adjusted"), Column("n")]  # fmt: skip
    if rates:
        columns.insert(5, Column("Difference, drawn", is_number=False, axis=draw_axis(axis)))
    lines = [("", _make_line(subject, glossary, change, axis if rates else None)) for change in changes]
    return Table(name, "Metric", tuple(columns), group_lines(lines), "changes")


def _make_line(subject: Subject, glossary: Glossary, change: RowChange, axis: Axis | None) -> Line:
    row, rate = change.row, subject.is_rate(change.row)
    d, scale = make_finite(change.difference), choose_scale(row, subject.card.measures, is_difference=True)
    p_value = change.adjusted_p_value
    cells = (
        Cell(change.verdict, icon=CHANGES.get(change.verdict, "same"), css="prose"),
        Cell(format_estimate(change.baseline, rate, row.unit), "baseline"),
        Cell(format_estimate(row.estimate, rate, row.unit), "candidate"),
        Cell("not known" if d.value is None else scale.format(d.value), "difference", strong=d.value is not None),
        Cell(
            "" if d.low is None or d.high is None else scale.format_bounds(d.low, d.high),
            css="bounds",
            notes=tuple(filter(None, [d.reason])),
        ),
        *([] if axis is None else [Cell(bar=_draw(axis, change) if rate and d.value is not None else NOTHING, css="drawn")]),
        Cell("" if p_value is None else f"{p_value:.2g}", "p"),
        Cell(f"{change.difference.n:,}", "n"),
    )
    return Line(Term(subject.title_of(row), glossary.explain(row).anchor), describe_item(row.key), cells)


def _draw(axis: Axis, change: RowChange) -> Markup:
    tone = {WORSE: "fail", BETTER: "pass"}.get(change.verdict, "")
    return draw_interval(axis, change.difference, marks=[Mark("zero", 0.0)], tone=tone)


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
