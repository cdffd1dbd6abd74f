"""``summary.md``: the scorecard as short Markdown, for a terminal, a pull request or a CI job summary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..harness.api.report import Report
from ..harness.api.scorecard import Row, Scorecard
from ..harness.api.visible_text import make_visible
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

_LIMIT = 300
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class Markdown(Report):
    """Write verdict, gates, rows by dimension, flags and skipped items as GitHub-flavoured Markdown."""

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
    """Yield the lines of the file."""
    _, label, sentence = describe_verdict(scorecard)
    yield f"# {escape(str(scorecard.manifest.get('name', 'Scorecard')))}: {escape(label)}"
    yield f"\n{escape(sentence)} {escape(summarise(scorecard))}"
    if scorecard.gates:
        yield "\n## Gates\n"
        cells = ([format_code(gate.gate), escape(gate.outcome), escape(gate.verdict), escape(gate.detail)] for gate in scorecard.gates)
        yield from _write_table(["gate", "outcome", "verdict", "detail"], "lccl", cells)
    for dimension, rows in group_by_dimension(scorecard).items():
        yield f"\n## {escape(dimension.capitalize())}\n"
        yield from _write_table(["model", "item", "metric", "value", "95 % interval", "n", "unscored"], "lllrcrr", map(_format_cells, rows))
    for title, key in (("Flags", "flags"), ("Skipped", "skipped")):
        if entries := list_statements(scorecard.manifest.get(key)):
            yield f"\n## {title}\n"
            yield from (f"- **{escape(about) or title[:-1]}**: {escape(sentence)}" for about, sentence in entries)


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
