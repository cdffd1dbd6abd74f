"""``summary.md``: the scorecard as short Markdown, for a terminal, a pull request or a CI job summary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..harness.api.report import Report
from ..harness.api.scorecard import Row, Scorecard
from ..harness.api.visible_text import visible
from .display import arrow, by_dimension, clip, interval, reason, statements, summary, value, verdict

_LIMIT = 300
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class Markdown(Report):
    """Write verdict, gates, rows by dimension, flags and skipped items as GitHub-flavoured Markdown."""

    suffix = "summary.md"

    def render(self, scorecard: Scorecard, /) -> str:
        return "\n".join(_lines(scorecard)).rstrip() + "\n"


def escape(text: str, /) -> str:
    """Escape text to one line that Markdown shows literally, without cells, links, mentions, emphasis or HTML."""
    line = " ".join(clip(visible(text), _LIMIT).split())
    line = re.sub(r"[\\`*_{}\[\]#~!|@$]|:(?=//)|(?<=www)\.", r"\\\g<0>", line)
    return re.sub(r"[&<>]", lambda match: _ENTITIES[match[0]], line)


def code(text: str, /) -> str:
    """Format a name as a code span, or escape it if it could end the span or the table cell."""
    plain = visible(text)
    return f"`{plain}`" if 0 < len(plain) <= _LIMIT and plain == plain.strip() and not re.search(r"[`|\n]", plain) else escape(text)


def _lines(scorecard: Scorecard) -> Iterator[str]:
    """Yield the lines of the file."""
    _, label, sentence = verdict(scorecard)
    yield f"# {escape(str(scorecard.manifest.get('name', 'Scorecard')))}: {escape(label)}"
    yield f"\n{escape(sentence)} {escape(summary(scorecard))}"
    if scorecard.gates:
        yield "\n## Gates\n"
        cells = ([code(gate.gate), escape(gate.outcome), escape(gate.verdict), escape(gate.detail)] for gate in scorecard.gates)
        yield from _table(["gate", "outcome", "verdict", "detail"], "lccl", cells)
    for dimension, rows in by_dimension(scorecard).items():
        yield f"\n## {escape(dimension.capitalize())}\n"
        yield from _table(["model", "item", "metric", "value", "95 % interval", "n", "unscored"], "lllrcrr", map(_cells, rows))
    for title, key in (("Flags", "flags"), ("Skipped", "skipped")):
        if entries := statements(scorecard.manifest.get(key)):
            yield f"\n## {title}\n"
            yield from (f"- **{escape(about) or title[:-1]}**: {escape(sentence)}" for about, sentence in entries)


def _cells(row: Row) -> list[str]:
    """Return the cells of a row's line in the table of its dimension."""
    why = reason(row)
    shown = f"{escape(value(row))} ({escape(why)})" if why else escape(value(row))
    n, unscored = row.estimate.n, row.estimate.n_unscored
    return [code(row.model), code(row.item), f"{code(row.name)} {arrow(row)}".strip(), shown, interval(row), f"{n:,}", f"{unscored:,}"]


def _table(heads: list[str], alignment: str, rows: Iterable[list[str]]) -> Iterator[str]:
    """Yield the lines of a table.

    heads: names of the columns.
    alignment: one letter per column: ``l``, ``c`` or ``r``.
    rows: escaped cells of each row.
    """
    yield f"| {' | '.join(heads)} |"
    yield f"| {' | '.join({'l': ':--', 'c': ':-:', 'r': '--:'}[side] for side in alignment)} |"
    yield from (f"| {' | '.join(cells)} |" for cells in rows)
