"""The gates: what each asks, and the numbers that it judged, to be drawn with their thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from markupsafe import Markup

from ...harness.api.scorecard import Row, Scorecard
from ...harness.scorecard.gates import list_cautions, readings
from ..charts.difference import choose_difference_axis
from ..charts.interval import Mark, draw_axis, draw_interval
from ..charts.svg import NOTHING, RATES, Axis
from ..display import list_unique
from ..values import POINTS, RATE, Scale, choose_scale
from .gate_names import name_gate, tell_apart
from .judged import COUNTS, Judged, RowId, get_icon, get_id, get_word, make_sentence

_COUNTED = {"pass": "a pass", "warn": "a warning", "fail": "a failure"}
_MOST_LINES = 12
"""The largest number of rows of one gate that are drawn; the worst come first."""


@dataclass(frozen=True, slots=True)
class Reading(readings.Reading):
    """A gate as the page shows it.

    title: what it asks, in words. lines: its rows, the worst first. axis: the axis of its bars.
    cautions: sentences about a part of the data that does not represent the rest.
    """

    title: str = ""
    lines: tuple[Judged, ...] = ()
    cautions: tuple[str, ...] = ()
    axis: Axis = RATES

    @property
    def icon(self) -> str:
        return get_icon(self.result.outcome)

    @property
    def word(self) -> str:
        return get_word(self.result.outcome)

    @property
    def counts_as(self) -> str:
        """How the suite counts the outcome, if that is not the outcome itself."""
        if self.result.verdict == self.result.outcome:
            return ""
        return f"counts as {_COUNTED.get(self.result.verdict, self.result.verdict.replace('_', ' '))}"

    @property
    def first(self) -> Judged | None:
        """The row that decides; None without rows."""
        return self.lines[0] if self.lines else None

    def get_worst(self, model: str, /) -> Judged | None:
        """Return the worst row of a model; None if the gate reads none of it."""
        return next((line for line in self.lines if line.judged.model == model), None)

    @property
    def shown(self) -> Sequence[Judged]:
        """The rows that are drawn below a gate on several."""
        return self.lines[:_MOST_LINES] if len(self.lines) > 1 else ()

    @property
    def reason(self) -> str:
        """Why the gate has its outcome, in a sentence."""
        return self.first.reason if self.first is not None else make_sentence(self.result.detail)

    @property
    def tally(self) -> str:
        """How many rows have which outcome, and what is not shown; empty for a gate on one row."""
        if len(self.lines) < 2:
            return ""
        words = [line.word.lower() for line in self.lines]
        counts = ", ".join(f"{words.count(word):,} {word}" for word in list_unique(words))
        left = len(self.lines) - _MOST_LINES
        return f"{len(self.lines):,} rows: {counts}{f'; {left:,} more are not drawn' if left > 0 else ''}"

    def draw(self, line: Judged) -> Markup:
        """Return the bar of a row; empty if its number has no axis."""
        if line.threshold is None or line.judged.value is None or line.scale not in (POINTS, RATE):
            return NOTHING
        zero = [Mark("zero", 0.0)] if line.is_difference else []
        return draw_interval(self.axis, line.estimate, line.threshold, zero)


@dataclass(frozen=True, slots=True)
class GateTable:
    """Gates on one axis. ``kind``: ``value`` for thresholds, ``change`` for changes against a baseline. ``axis``: its labels."""

    kind: Literal["value", "change"]
    readings: tuple[Reading, ...]
    axis: Markup


def read_gates(card: Scorecard, /) -> list[Reading]:
    """Return the gates with what they judged, in the order of `readings.read_gates`."""
    rows = {get_id(row): row for row in (*card.rows, *card.times)}
    found = [_read(base, rows, card) for base in readings.read_gates(card)]
    points = [number for reading in found for line in reading.lines if line.scale == POINTS for number in _list_numbers(line)]
    axes = {True: choose_difference_axis(points), False: RATES}
    return [replace(reading, axis=axes[bool(reading.first and reading.first.is_difference)]) for reading in found]


def make_tables(found: Sequence[Reading], /) -> list[GateTable]:
    """Return the gates as tables: those with a threshold, and those against a baseline; first the table with the first gate."""
    groups: dict[bool, list[Reading]] = {}
    for reading in found:
        groups.setdefault(bool(reading.first and reading.first.is_difference), []).append(reading)
    return [GateTable("change" if is_change else "value", tuple(own), draw_axis(own[0].axis)) for is_change, own in groups.items()]


def _list_numbers(line: Judged) -> Iterator[float]:
    yield from (x for x in (line.judged.value, line.judged.low, line.judged.high, line.judged.threshold) if x is not None)


def _read(base: readings.Reading, rows: Mapping[RowId, Row], card: Scorecard) -> Reading:
    lines = []
    for judged in base.rows:
        row = rows.get((judged.model, judged.item, judged.metric))
        is_count = judged.part in COUNTS
        scale = Scale("number") if is_count or row is None else choose_scale(row, card.measures, judged.baseline is not None)
        lines.append(Judged(judged, row, scale))
    known = [line.row for line in lines if line.row is not None]
    if not lines or not known:
        return Reading(base.result, base.rows, base.result.gate, tuple(lines))
    named = [replace(line, name=tell_apart(line, known)) for line in lines]
    title = name_gate(named, known, card) or base.result.gate
    cautions = list_cautions(card, dict.fromkeys(row.key.task for row in known))
    return Reading(base.result, base.rows, title, tuple(named), tuple(map(shorten_caution, cautions)))


def shorten_caution(sentence: str, /) -> str:
    """Return a caution without what follows from it: ``the first 200 of 10,662 samples are of 1 of 2 classes (a)``."""
    return sentence.partition(", so the numbers")[0]
