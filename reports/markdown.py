"""``summary.md``: the scorecard as short Markdown, for a terminal, a pull request or a CI job summary."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from ..harness.api.comparison import BETTER, WORSE, Comparison
from ..harness.api.numerals import format_interval as format_bounds
from ..harness.api.numerals import format_number
from ..harness.api.report import Report
from ..harness.api.scorecard import GateResult, Row, Scorecard
from ..harness.api.visible_text import make_visible
from ..harness.scorecard.gates.readings import explain_verdict, read_gates
from ..harness.scorecard.headlines import choose_headlines
from .display import (
    choose_arrow,
    clip,
    describe_verdict,
    format_interval,
    format_value,
    get_reason,
    group_by_dimension,
    list_statements,
    summarise,
)

MOST_LINES = 60
"""The maximum number of visible lines."""

_MOST_GATES, _MOST_ITEMS, _MOST_FLAGS = 10, 8, 5
_MOST_COMPARISONS, _MOST_CHANGES = 3, 5
_GATES = ["gate", "outcome", "verdict", "detail"], "lccl"
_ROWS = ["model", "item", "metric", "value", "95 % interval", "n", "unscored"], "lllrcrr"
"""The columns of a table, with their alignment."""

_LIMIT = 300
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class Markdown(Report):
    """Write verdict, gates, headlines and flags as GitHub-flavoured Markdown, and all rows in folded parts."""

    suffix = "summary.md"

    def render(self, scorecard: Scorecard, /) -> str:
        return "\n".join(_write_lines(scorecard)).rstrip() + "\n"


def escape(text: str, /) -> str:
    """Escape text to one line that Markdown shows literally, without cells, links, mentions, emphasis or HTML."""
    line = " ".join(clip(make_visible(text), _LIMIT).split())
    line = re.sub(r"[\\`*_{}\[\]#~!|@$]|:(?=//)|(?<=www)\.", r"\\\g<0>", line)
    return re.sub(r"[&<>]", lambda match: _ENTITIES[match[0]], line)


def format_code(text: str, /) -> str:
    """Format a name as a code span, or escape it if it could end the span or the table cell."""
    plain = make_visible(text)
    return f"`{plain}`" if 0 < len(plain) <= _LIMIT and plain == plain.strip() and not re.search(r"[`|\n]", plain) else escape(text)


def _write_lines(scorecard: Scorecard) -> Iterator[str]:
    """Yield the lines of the file: at most `MOST_LINES` outside of the folded parts."""
    label, _ = describe_verdict(scorecard.verdict)
    readings = read_gates(scorecard)
    yield f"# {escape(str(scorecard.manifest.get('name', 'Scorecard')))}: {escape(label)}"
    yield f"\n{escape(explain_verdict(scorecard, readings))}"
    yield f"\n{escape(summarise(scorecard))}"
    if readings:
        yield "\n## Gates\n"
        gates = [_format_gate(reading.result) for reading in readings]
        yield from _write_table(*_GATES, gates[:_MOST_GATES])
        yield from _fold("more gates", len(gates) - _MOST_GATES, lambda: _write_table(*_GATES, gates[_MOST_GATES:]))
    if compared := [_describe_comparison(comparison) for comparison in scorecard.comparisons]:
        yield "\n## Comparison\n"
        yield from compared[:_MOST_COMPARISONS]
        yield from _fold("more comparisons", len(compared) - _MOST_COMPARISONS, lambda: compared[_MOST_COMPARISONS:])
    headlines = choose_headlines(scorecard.rows)
    if headlines:
        yield "\n## Headlines\n"
        yield from _write_table(*_ROWS, map(_format_cells, headlines[:_MOST_ITEMS]))
        if len(headlines) > _MOST_ITEMS:
            yield f"\n{len(headlines) - _MOST_ITEMS:,} more items stand among all rows below."
    flags = list(_list_bullets(scorecard, "flags", "Flag"))
    if flags:
        yield "\n## Flags\n"
        yield from flags[:_MOST_FLAGS]
        yield from _fold("more flags", len(flags) - _MOST_FLAGS, lambda: flags[_MOST_FLAGS:])
    yield from _fold("rows, by dimension", len(scorecard.rows), lambda: _write_dimensions(scorecard))
    skipped = list(_list_bullets(scorecard, "skipped", "Skipped"))
    yield from _fold("skipped items", len(skipped), lambda: skipped)


def _fold(noun: str, num: int, write: Callable[[], Iterable[str]]) -> Iterator[str]:
    """Yield lines that readers can unfold; nothing if there is nothing to count. ``num``: their number, for the title."""
    if num > 0:
        yield f"\n<details><summary>{num:,} {noun}</summary>\n"
        yield from write()
        yield "\n</details>"


def _write_dimensions(scorecard: Scorecard) -> Iterator[str]:
    """Yield a table of all rows per dimension."""
    for dimension, rows in group_by_dimension(scorecard).items():
        yield f"\n### {escape(dimension.capitalize())}\n"
        yield from _write_table(*_ROWS, map(_format_cells, rows))


def _list_bullets(scorecard: Scorecard, key: str, title: str) -> Iterator[str]:
    """Yield a bullet per statement of the manifest. ``title``: stands for the subject of a statement without one."""
    for about, sentence in list_statements(scorecard.manifest.get(key)):
        yield f"- **{escape(about) or title}**: {escape(sentence)}"


def _describe_comparison(found: Comparison) -> str:
    """Return a bullet: the verdict, the rows that are worse or better, and the flips of tasks."""
    sentences = [f"{format_code(found.candidate)} against {format_code(found.baseline)}: {escape(found.verdict)}"]
    for verdict in (WORSE, BETTER):
        changes = found.of_verdict(verdict)
        named = [
            f"{format_code(f'{change.row.item}.{change.row.name}')} {format_number(change.difference.value, '+')} "
            f"{format_bounds(change.difference.low, change.difference.high, '+')}"
            for change in changes[:_MOST_CHANGES]
        ]
        left = [f"{len(changes) - len(named):,} more"] if len(changes) > len(named) else []
        sentences += [f"{escape(verdict.capitalize())}: {', '.join([*named, *left])}"] if named else []
    sentences += [
        f"{count.regressed:,} of {count.n:,} answers of {format_code(count.key.task)} regressed, {count.fixed:,} are fixed"
        for count in found.counts
        if count.part == "all" and count.key.is_task and (count.regressed or count.fixed)
    ]
    sentences += map(escape, found.remarks)
    return f"- {'. '.join(sentences)}."


def _format_gate(gate: GateResult) -> list[str]:
    """Return the cells of a gate's line."""
    return [format_code(gate.gate), escape(gate.outcome), escape(gate.verdict), escape(gate.detail)]


def _format_cells(row: Row) -> list[str]:
    """Return the cells of a row's line in the table of its dimension."""
    why = get_reason(row)
    shown = f"{escape(format_value(row))} ({escape(why)})" if why else escape(format_value(row))
    n, unscored = row.estimate.n, row.estimate.n_unscored
    return [
        format_code(row.model),
        format_code(row.item),
        f"{format_code(row.name)} {choose_arrow(row)}".strip(),
        shown,
        format_interval(row),
        f"{n:,}",
        f"{unscored:,}",
    ]


def _write_table(heads: list[str], alignment: str, rows: Iterable[list[str]]) -> Iterator[str]:
    """Yield the lines of a table.

    heads: names of the columns.
    alignment: one letter per column: ``l``, ``c`` or ``r``.
    rows: escaped cells of each row.
    """
    yield f"| {' | '.join(heads)} |"
    yield f"| {' | '.join({'l': ':--', 'c': ':-:', 'r': '--:'}[side] for side in alignment)} |"
    yield from (f"| {' | '.join(cells)} |" for cells in rows)
