"""A scorecard as text: the end of a run in few lines, or all of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from ..api.numerals import format_interval, format_number
from ..api.registry import Registry
from ..api.scorecard import Estimate, JudgedRow, Row, Scorecard
from ..api.visible_text import make_visible
from ..scorecard.gates import list_cautions
from ..scorecard.gates.readings import Reading, explain_verdict, read_gates
from ..scorecard.headlines import choose_headlines

MOST_LINES = 25
"""The maximum number of lines at the end of a run."""

_MOST_GATES, _MOST_NOTES = 4, 3
_NAME_WIDTH = 48
_ERROR_WIDTH = 300


def format_scorecard(card: Scorecard, *, rows: bool = False) -> str:
    """Return the verdict with its reason, the gates, numbers, notes and the digest of the run.

    rows: show each number that is about the model; otherwise the headline row of each item, in less than `MOST_LINES` lines.
    """
    readings = read_gates(card)
    failed = f", {card.num_failed:,} records with an error" if card.num_failed else ""
    first = [f"the first error: {_cut(card.first_error, _ERROR_WIDTH)}"] if card.first_error else []
    head = [f"{card.verdict.upper()}: {explain_verdict(card, readings)}"]
    tail = [*first, f"{card.num_samples:,} samples{failed}; digest: {card.manifest.get('digest', '')}"]
    if rows:
        gates, notes = list(_list_gates(readings, card)), list(_list_notes(card))
        numbers = list(_list_rows(card))
    else:
        gates = _shorten(list(_list_gates(readings[:_MOST_GATES], card)), len(readings) - _MOST_GATES, "gates")
        notes = list(_list_notes(card))
        notes = _shorten(notes[:_MOST_NOTES], len(notes) - _MOST_NOTES, "notes")
        numbers = _list_headlines(card, MOST_LINES - 1 - sum(map(len, (head, gates, notes, tail))))
    return "\n".join(make_visible(line).replace("\n", "\\n") for line in (*head, *gates, *numbers, *notes, *tail))


def describe_headline(folder: Path, registry: Registry, model: str, item: str) -> str:
    """Return the headline row of a finished item in words, while its run goes on; empty without one."""
    from ..results.item_rows import compute_headline

    try:
        row = compute_headline(folder, model, item, registry)
    except Exception:  # noqa: BLE001 - the run goes on; its end meets the same error and reports it
        return ""
    if row is None:
        return ""
    value, interval, n = _format_estimate(row.estimate)
    return " ".join(filter(None, [row.name, value, interval])) + f", {n}"


def format_files(files: Sequence[Path]) -> str:
    """Return one line that says where the page is, and the names of the files beside it."""
    page = next((file for file in files if file.suffix == ".html"), None)
    others = ", ".join(file.name for file in files if file is not page)
    if page is None:
        return f"reports in {files[0].resolve().parent}: {others}" if files else "no reports"
    return f"page: {page.resolve()}" + (f"  (beside it: {others})" if others else "")


def _shorten(lines: list[str], num_left: int, noun: str) -> list[str]:
    """Return the lines with a last one that counts what is left out, if anything is."""
    return [*lines, f"… and {num_left:,} more {noun}; --rows prints all"] if num_left > 0 else lines


def _list_gates(readings: Sequence[Reading], card: Scorecard) -> Iterator[str]:
    """Yield a line per gate, with its columns aligned; below it, why it is undecided, or what limits its data."""
    lines = []
    for reading in readings:
        result, row, num = reading.result, reading.row, len(reading.rows)
        counts = "" if result.verdict == result.outcome else f" (counts as {result.verdict})"
        model = f"{row.model}, lowest margin of {num:,}" if row and num > 1 else row.model if row else ""
        lines.append((f"gate {result.outcome}{counts}", reading.path, reading.asked, *_format_judged(row), model))
    for reading, line in zip(readings, _align(lines), strict=True):
        yield line
        if reading.result.outcome in ("pass", "fail"):
            tasks = {row.key.task for row in card.rows if reading.row and (row.model, row.item) == (reading.row.model, reading.row.item)}
            reason = "; ".join(list_cautions(card, tasks))
        else:
            detail = reading.row.detail if reading.row else reading.result.detail
            reason = detail.partition(": ")[2] if reading.result.outcome == "inconclusive" else detail
        if reason:
            yield f"     {reason}"


def _list_headlines(card: Scorecard, most: int) -> list[str]:
    """Return a line per item with its headline row, and one line for those that do not fit: first items that follow from others."""
    headlines = choose_headlines(card.rows)
    if len(headlines) > most:
        kept = sorted(headlines, key=lambda row: len(row.key.about))[: max(0, most - 1)]
        lines = _align(_make_cells(row, most=_NAME_WIDTH) for row in headlines if row in kept)
        return _shorten(lines, len(headlines) - len(kept), "items")
    return _align(_make_cells(row, most=_NAME_WIDTH) for row in headlines)


def _make_cells(row: Row, most: int) -> tuple[str, ...]:
    return (
        row.model,
        _cut(row.item, most),
        row.name,
        *_format_estimate(row.estimate),
        row.estimate.reason if row.estimate.value is None else "",
    )


def _cut(text: str, most: int) -> str:
    """Return at most so many characters of a text."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _list_rows(card: Scorecard) -> Iterator[str]:
    """Yield every row that is about the model, not what it cost, below a line with its item."""
    shown = [row for row in card.rows if row.dimension != "efficiency"]
    width = max((len(row.name) for row in shown), default=0)
    last = None
    for row in shown:
        if (row.model, row.item) != last:
            last = (row.model, row.item)
            yield f"{row.model}  {row.item}"
        value, interval, n = _format_estimate(row.estimate)
        why = f"  {row.estimate.reason}" if row.estimate.value is None else ""
        yield f"  {row.name:<{width}}  {value:<10} {interval:<22} {n}{why}"


def _list_notes(card: Scorecard) -> Iterator[str]:
    """Yield what readers must know about the numbers: flags, then parts of the data that are not used."""
    yield from (f"note: {flag}" for flag in card.manifest.get("flags", ()))
    for task, facts in card.manifest.get("data", {}).items():
        yield from (f"data of {task}: {note}" for note in facts.get("notes", ()))


def _format_judged(row: JudgedRow | None) -> tuple[str, str, str]:
    """Return value, interval and number of samples of what a gate judged; with signs for a change against a baseline."""
    if row is None:
        return "no data", "", ""
    value, interval, n = _format_estimate(Estimate(row.value, row.low, row.high, row.n), sign="-" if row.baseline is None else "+")
    return value, interval, n if row.value is None or row.baseline is None else f"{n}, from {format_number(row.baseline)}"


def _format_estimate(e: Estimate, sign: Literal["-", "+"] = "-") -> tuple[str, str, str]:
    """Return value, interval and number of samples. ``sign``: ``+`` to write both signs."""
    unscored = f", {e.n_unscored:,} not scored" if e.n_unscored else ""
    n = f"n = {e.n:,}{unscored}"
    if e.value is None:
        return "not scored", "", n
    return format_number(e.value, sign), format_interval(e.low, e.high, sign), n


def _align(lines: Iterable[tuple[str, ...]]) -> list[str]:
    """Join the cells of each line, padded to the width of their column."""
    table = [tuple(map(make_visible, cells)) for cells in lines]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in table]
