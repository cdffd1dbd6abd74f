"""The comparison of two models: what is worse, better, or not shown to have changed, and the samples that flipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...harness.api.comparison import BETTER, NO_CHANGE, NOT_TESTED, WORSE, Comparison, Flip, FlipCount, RowChange
from ...harness.api.scorecard import Row, Scorecard
from ..charts.difference import choose_difference_axis
from ..charts.interval import Mark, draw_axis, draw_interval
from ..charts.svg import NOTHING, Axis
from ..display import clip, format_count, make_finite
from ..values import choose_scale, describe_item, format_estimate
from .judged import make_sentence
from .rows import Subject
from .scores import CHANGES
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


def is_comparison(card: Scorecard, /) -> bool:
    """Tell whether a scorecard holds comparisons and no run."""
    return bool(card.comparisons) and not card.rows


def make_board(subject: Subject, glossary: Glossary, /) -> Table | None:
    """Return a table with a line per candidate and the paired differences of its headline rows; None for one candidate."""
    comparisons = subject.card.comparisons
    if len(comparisons) < 2:
        return None
    heads = {_name(change): change.row for found in comparisons for change in found.rows if change.is_headline}
    terms = [Term(f"{subject.title_of(row)}, {describe_item(row.key)}", glossary.explain(row).anchor) for row in heads.values()]
    columns = [Column("Verdict", is_number=False), *(Column(term.word, term) for term in terms)]
    lines = []
    for found in comparisons:
        own = {_name(change): change for change in found.rows if change.is_headline}
        cells = [Cell(found.verdict, icon=CHANGES.get(found.verdict, "same"), css="prose")]
        cells += [_make_board_cell(subject, own[name], term) if name in own else Cell() for name, term in zip(heads, terms, strict=True)]
        lines.append((f"Against {found.baseline}", Line(Term(found.candidate), "", tuple(cells))))
    return Table("Candidates", "Candidate", tuple(columns), group_lines(lines), "changes")


def _make_board_cell(subject: Subject, change: RowChange, term: Term) -> Cell:
    value = format_estimate(change.row.estimate, subject.is_rate(change.row), change.row.unit)
    d = make_finite(change.difference)
    shown = "" if d.value is None else choose_scale(change.row, subject.card.measures, is_difference=True).format(d.value)
    return Cell(value, term.word.lower(), CHANGES.get(change.verdict, "same"), change.verdict, notes=tuple(filter(None, [shown])))


def _name(change: RowChange) -> str:
    return f"{change.row.item}.{change.row.name}"


def make_comparisons(subject: Subject, glossary: Glossary, /) -> list[Compared]:
    """Return the comparisons of the scorecard."""
    return [_make_comparison(subject, glossary, found, place) for place, found in enumerate(subject.card.comparisons, 1)]


def _make_comparison(subject: Subject, glossary: Glossary, found: Comparison, place: int) -> Compared:
    by_verdict = {verdict: found.of_verdict(verdict) for verdict in CHANGES}
    tally = tuple((CHANGES[verdict], f"{verdict} on {len(changes):,}") for verdict, changes in by_verdict.items() if changes)
    tally += tuple(("same", remark) for remark in found.remarks)
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
    if parts := [count for count in found.counts if count.part != "all"]:
        folds.append(Fold("Flips by slice and class", (_make_counts(parts),)))
    if found.fidelity:
        own = Glossary(subject.card.measures, f"fidelity-{place}")
        folds.append(Fold("Fidelity: how much the outputs differ, right or wrong", (_make_fidelity(subject, own, found.fidelity),),
                          tuple(own.helps.values())))  # fmt: skip
    table = _make_table(subject, glossary, f"{found.candidate} against {found.baseline}", changed) if changed else None
    title = f"{found.candidate} against {found.baseline}"
    return Compared(title, tally, table, tuple(folds), tuple(map(make_sentence, (*found.mismatches, *found.notes))))


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
        Cell("" if p_value is None else "<0.0001" if p_value < 0.0001 else f"{p_value:.2g}", "p"),
        Cell(f"{change.difference.n:,}", "n"),
    )
    return Line(Term(subject.title_of(row), glossary.explain(row).anchor), describe_item(row.key), cells)


def _draw(axis: Axis, change: RowChange) -> Markup:
    tone = {WORSE: "fail", BETTER: "pass"}.get(change.verdict, "")
    return draw_interval(axis, change.difference, marks=[Mark("zero", 0.0)], tone=tone)


def _make_counts(counts: Sequence[FlipCount]) -> Table:
    columns = (Column("Regressed"), Column("Fixed"), Column("Samples"))
    lines = []
    for count in counts:
        cells = (Cell(f"{count.regressed:,}", "regressed"), Cell(f"{count.fixed:,}", "fixed"), Cell(f"{count.n:,}", "samples"))
        lines.append((describe_item(count.key), Line(Term(count.name), count.part, cells)))
    return Table("Flips by slice and class", "Part", columns, group_lines(lines), "changes")


def _make_fidelity(subject: Subject, glossary: Glossary, rows: Sequence[Row]) -> Table:
    columns = (Column("Value"), Column("95 % interval", is_number=False), Column("n"))
    lines = []
    for row in rows:
        cells = (subject.make_value(row, "value"), subject.make_bounds(row), subject.make_count(row))
        lines.append((describe_item(row.key), Line(glossary.explain(row), "", cells)))
    return Table("Fidelity", "Metric", columns, group_lines(lines), "changes")


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
