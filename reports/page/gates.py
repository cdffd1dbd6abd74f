"""The gates: what each asks in words, and the numbers that it judged, to be drawn with their thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from markupsafe import Markup

from ...harness.api.scorecard import Estimate, JudgedRow, Row, Scorecard
from ...harness.scorecard.gates import list_cautions, readings
from ...harness.scorecard.measures import title_of
from ..charts.difference import choose_difference_axis
from ..charts.interval import Mark, Threshold, draw_axis, draw_interval
from ..charts.svg import NOTHING, RATES, Axis
from ..display import list_unique
from ..values import POINTS, RATE, Scale, choose_scale, describe_item

OUTCOMES = {
    "pass": ("pass", "Pass"), "fail": ("fail", "Fail"), "inconclusive": ("open", "Inconclusive"), "no_data": ("open", "No data"),
    "missing": ("open", "Missing"),
}  # fmt: skip
"""The icon and the word of each outcome; icons are ``pass``, ``fail``, ``open`` and ``none``."""
ICONS = ("fail", "open", "pass", "none")
"""The icons, worst first."""

_ASKS = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
_PARTS = {"low": ", at its lower end", "high": ", at its upper end", "value": ", whatever its interval"}
_COUNTS = {"n": "samples", "n_unscored": "unscored samples"}
_COMPARED = {"low": "The lower end", "high": "The upper end", "value": "The value"}
_MOST_LINES = 12
"""The largest number of rows of one gate that are drawn; the worst come first."""

RowId = tuple[str, str, str]


def get_id(row: Row, /) -> RowId:
    """Return the model, item and name of a row."""
    return row.model, row.item, row.name


def get_icon(outcome: str, /) -> str:
    """Return the icon of an outcome."""
    return OUTCOMES.get(outcome, ("none", ""))[0]


def get_word(outcome: str, /) -> str:
    """Return the word of an outcome."""
    return OUTCOMES.get(outcome, ("", outcome.replace("_", " ").capitalize()))[1]


@dataclass(frozen=True, slots=True)
class Judged:
    """A number that a gate judged.

    judged: the numbers. row: the row of the scorecard that they are about; None if it has none.
    scale: how the numbers are written. name: what distinguishes it from the gate's other rows.
    """

    judged: JudgedRow
    row: Row | None
    scale: Scale
    name: str = ""

    @property
    def icon(self) -> str:
        return get_icon(self.judged.outcome)

    @property
    def word(self) -> str:
        return get_word(self.judged.outcome)

    @property
    def is_difference(self) -> bool:
        """Whether the number is a difference to a baseline."""
        return self.judged.baseline is not None

    @property
    def estimate(self) -> Estimate:
        return Estimate(self.judged.value, self.judged.low, self.judged.high, self.judged.n)

    @property
    def threshold(self) -> Threshold | None:
        """The threshold to draw; None if the gate compares no value."""
        if self.judged.threshold is None or self.judged.part in _COUNTS:
            return None
        return Threshold(self.judged.threshold, self.judged.op in (">=", ">"), self.icon)

    @property
    def value(self) -> str:
        return "" if self.judged.value is None else self.scale.format(self.judged.value)

    @property
    def bounds(self) -> str:
        low, high = self.judged.low, self.judged.high
        return "" if low is None or high is None else self.scale.format_bounds(low, high)

    @property
    def baseline(self) -> str:
        """The baseline's value; empty for a gate without one."""
        base = self.judged.baseline
        return "" if base is None else self.scale.absolute.format(base)

    @property
    def n(self) -> str:
        return f"{self.judged.n:,}" if self.judged.threshold is not None else ""

    @property
    def target(self) -> str:
        """What is asked: ``at least 75 %``, or ``may drop by 1 point``; empty if the row was compared with nothing."""
        if self.judged.threshold is None:
            return ""
        if self.is_difference:
            return f"may {'drop' if self.judged.op == '>=' else 'rise'} by {self.scale.format_target(abs(self.judged.threshold))}"
        return f"{_ASKS.get(self.judged.op, self.judged.op)} {self.scale.format_target(self.judged.threshold)}"

    @property
    def reason(self) -> str:
        """Why it has its outcome, in a sentence."""
        if self.threshold is None or self.judged.value is None:
            return _make_sentence(self.judged.detail)
        if self.judged.outcome in ("pass", "fail"):
            return self._tell_side()
        sentence = self.judged.detail.rpartition(": ")[2]
        number = self.scale.format_target(self.judged.threshold or 0.0)
        sentence = sentence.replace(f"{self.judged.threshold:g} lies", f"{number} lies")
        return _make_sentence(sentence)

    def _tell_side(self) -> str:
        part, threshold = _COMPARED.get(self.judged.part, "The whole interval"), self.judged.threshold or 0.0
        if self.judged.low is None or self.judged.high is None:
            part = "The value"
        is_good = self.judged.outcome == "pass"
        if self.is_difference:
            return f"{part} is {'within' if is_good else 'beyond'} the allowed {'drop' if self.judged.op == '>=' else 'rise'}."
        return f"{part} is {'above' if is_good == (self.judged.op in ('>=', '>')) else 'below'} {self.scale.format_target(threshold)}."


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
        return "" if self.result.verdict == self.result.outcome else f"counts as {self.result.verdict.replace('_', ' ')}"

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
        return self.first.reason if self.first is not None else _make_sentence(self.result.detail)

    @property
    def tally(self) -> str:
        """How many rows have which outcome, and what is not shown; empty for a gate on one row."""
        if len(self.lines) < 2:
            return ""
        words = [line.word.lower() for line in self.lines]
        counts = ", ".join(f"{words.count(word)} {word}" for word in list_unique(words))
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
        is_count = judged.part in _COUNTS
        scale = Scale("number") if is_count or row is None else choose_scale(row, card.measures, judged.baseline is not None)
        lines.append(Judged(judged, row, scale))
    known = [line.row for line in lines if line.row is not None]
    if not lines or not known:
        return Reading(base.result, base.rows, base.result.gate, tuple(lines))
    named = [replace(line, name=_tell_apart(line, known)) for line in lines]
    title = _name_gate(named, known, card) or base.result.gate
    cautions = list_cautions(card, dict.fromkeys(row.key.task for row in known))
    return Reading(base.result, base.rows, title, tuple(named), tuple(map(shorten_caution, cautions)))


def _make_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def shorten_caution(sentence: str, /) -> str:
    """Return a caution without what follows from it: ``the first 200 of 10,662 samples are of 1 of 2 classes (a)``."""
    return sentence.partition(", so the numbers")[0]


def _tell_apart(line: Judged, known: Sequence[Row]) -> str:
    """Name a row of a gate by what distinguishes it from the others: its model, item, metric or slice."""
    if line.row is None:
        return f"{line.judged.model}: {line.judged.item}.{line.judged.metric}"
    columns = zip(*((r.model, describe_item(r.key), r.metric, r.about, r.slice) for r in [line.row, *known]), strict=True)
    return " · ".join(own for own, *others in columns if own and set(others) != {own})


def _name_gate(lines: Sequence[Judged], known: Sequence[Row], card: Scorecard) -> str:
    """Say what a gate asks: ``Accuracy on reviews is at least 75 %``; empty if nothing was asked."""
    line = next((line for line in lines if line.row is not None and line.target), None)
    if line is None:
        return ""
    row = known[0]
    plain = replace(row, slice="", about=row.about if len({r.about for r in known}) == 1 else "")
    what = title_of(plain, card.measures) if len({r.metric for r in known}) == 1 else "Every metric"
    what += _join(row) if len({r.key for r in known}) == 1 else " of every item"
    slices = list_unique(r.slice for r in known)
    where = f", on the slice {slices[0]}," if slices[0] and len(slices) == 1 else ", on every slice," if len(slices) > 1 else ""
    if line.judged.part in _COUNTS:
        return f"{what}{where} has {line.target} {_COUNTS[line.judged.part]}"
    if line.is_difference:
        targets = {own.target for own in lines if own.target}
        target = line.target if len(targets) == 1 else f"{line.target.rpartition(' by ')[0]} by a share of the baseline's"
        return f"{what}{where} {target} against the baseline"
    return f"{what}{where} is {line.target}{_PARTS.get(line.judged.part, '')}"


def _join(row: Row) -> str:
    """Name a row's item after its metric: ``on reviews``, or ``under deepwordbug on reviews``."""
    return f" {'on' if row.key.is_task else 'under' if row.dimension == 'robustness' else 'of'} {describe_item(row.key)}"


def name_row(row: Row, card: Scorecard, /) -> str:
    """Name a row and its item: ``Robust accuracy under deepwordbug on reviews``."""
    return title_of(row, card.measures) + _join(row)
