"""Comparisons as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ..api.comparison import BETTER, ERROR_RATE, NO_CHANGE, NOT_TESTED, WORSE, Comparison, Flip, RowChange
from ..api.numerals import format_interval, format_number
from ..api.scorecard import Estimate
from ..api.visible_text import make_visible

_MOST_FLIPS = 3
_MOST_TEXT = 90
_MARKS = {WORSE: "▼", BETTER: "▲", NO_CHANGE: "·", NOT_TESTED: " "}


def format_comparisons(comparisons: Sequence[Comparison]) -> str:
    """Return the text of comparisons with one baseline; of several, a leaderboard first."""
    lines = list(_list_board(comparisons)) if len(comparisons) > 1 else []
    for comparison in comparisons:
        lines += [*([""] if lines else []), *_list_lines(comparison)]
    return "\n".join(make_visible(line).replace("\n", "\\n") for line in lines)


def _list_lines(comparison: Comparison) -> Iterator[str]:
    yield "; ".join([f"{comparison.candidate} against {comparison.baseline}: {comparison.verdict}", *comparison.remarks])
    yield from (f"DIFFERENT, and compared all the same: {sentence}" for sentence in comparison.mismatches)
    yield from (f"note: {sentence}" for sentence in comparison.notes)
    headlines = [change for change in comparison.rows if change.is_headline]
    decided = [c for verdict in (WORSE, BETTER) for c in comparison.of_verdict(verdict) if not c.is_headline]
    for change in (*headlines, *decided):
        yield f"  {_MARKS[change.verdict]} {change.row.item + '.' + change.row.name:<44} {_describe(change)}"
    rest = [change for change in comparison.rows if not change.is_headline and change not in decided]
    num_tested = sum(change.verdict != NOT_TESTED for change in rest)
    yield f"  {num_tested:,} other rows: no change shown; {len(rest) - num_tested:,} are not tested (counts, costs, controls)"
    for count in comparison.counts:
        if count.part == "all":
            parts = [f"{c.name} {c.regressed}/{c.fixed}" for c in comparison.counts if c.key == count.key and c.part != "all"]
            yield f"flips of {count.key}: {count.regressed:,} regressed, {count.fixed:,} fixed, of {count.n:,}" + (
                f"   (regressed/fixed: {', '.join(parts)})" if parts else ""
            )
            yield from _list_flips([f for f in comparison.flips if f.key == count.key and f.change == "regressed"])
    moved = [flip for flip in comparison.flips if flip.change == "explanation moved"]
    for item, flips in groupby(moved, key=lambda flip: str(flip.key)):
        found = list(flips)
        worst = ", ".join(f"{f.sample_id} ({1 - (f.size or 0.0):.2f})" for f in found[:_MOST_FLIPS])
        yield f"explanations of {item} that moved though the answer stayed: {len(found):,}, first (rank correlation): {worst}"
    for item, rows in groupby(comparison.fidelity, key=lambda row: row.item):
        yield f"fidelity of {item}: " + ", ".join(f"{row.name} {format_number(row.estimate.value)}" for row in rows)


def _list_flips(flips: Sequence[Flip]) -> Iterator[str]:
    for flip in flips[:_MOST_FLIPS]:
        text = flip.input.text if flip.input is not None else ""
        both = (flip.before, flip.after)
        outputs = "" if both == (None, None) else " -> ".join("?" if output is None else _clip(output) for output in both)
        yield f"    {flip.sample_id}: {outputs}   {f'(target {flip.target})' if flip.target is not None else ''} {_clip(text)}".rstrip()


def _describe(change: RowChange) -> str:
    difference = change.difference
    values = f"{format_number(change.baseline.value)} -> {format_number(change.row.estimate.value)}"
    if difference.value is None:
        return f"{values}  {difference.reason}"
    changed = " ".join(filter(None, [format_number(difference.value, "+"), format_interval(difference.low, difference.high, "+")]))
    verdict = f"{change.verdict}{_describe_p_value(change)}"
    return f"{values:<20} {changed}  {verdict}, n = {difference.n:,}{_exclude(change)}"


def _describe_p_value(change: RowChange) -> str:
    """Return the adjusted p-value; with the one before the correction where that alone would have shown a change."""
    if change.p_value is None or change.adjusted_p_value is None:
        return ""
    low, high = change.difference.low, change.difference.high
    excludes_0 = low is not None and high is not None and not low <= 0 <= high
    is_corrected_away = change.verdict == NO_CHANGE and change.p_value <= ERROR_RATE and excludes_0
    alone = f", {change.p_value:.2g} before the correction for the number of rows" if is_corrected_away else ""
    return f", p = {change.adjusted_p_value:.{3 if alone else 2}g}{alone}"


def _exclude(change: RowChange) -> str:
    """Return what a row without a shown change excludes: the largest loss inside its interval."""
    bound = change.difference.low if change.row.higher_is_better else change.difference.high
    if change.verdict != NO_CHANGE or bound is None:
        return ""
    return f"; a loss of more than {max(0.0, -bound if change.row.higher_is_better else bound):.3g} is excluded"


def _list_board(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield a table: a line per candidate, with the paired difference of each headline row to the baseline."""
    names = list(dict.fromkeys(_name(c) for comparison in comparisons for c in comparison.rows if c.is_headline))
    heads = ["candidate", *names, "verdict"]
    table = [heads]
    for comparison in comparisons:
        cells = {_name(change): change for change in comparison.rows if change.is_headline}
        table.append([comparison.candidate, *(_cell(cells.get(name)) for name in names), comparison.verdict])
    widths = [max(len(line[column]) for line in table) for column in range(len(heads))]
    yield f"against {', '.join(dict.fromkeys(comparison.baseline for comparison in comparisons))}"
    yield from ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table)


def _name(change: RowChange) -> str:
    return f"{change.row.item}.{change.row.name}"


def _cell(change: RowChange | None) -> str:
    if change is None or change.row.estimate.value is None:
        return "–"
    difference: Estimate = change.difference
    shown = "" if difference.value is None else f" ({difference.value:+.3g} {_MARKS[change.verdict]})"
    return f"{format_number(change.row.estimate.value)}{shown}"


def _clip(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_TEXT else f"{line[:_MOST_TEXT]}…"
