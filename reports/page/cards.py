"""A card per model: one headline row per dimension, and the rows that gates read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from ...harness.api.comparison import BETTER as IS_BETTER
from ...harness.api.comparison import NO_CHANGE, NOT_TESTED, WORSE, RowChange
from ...harness.api.scorecard import DIMENSIONS, Row
from ...harness.scorecard.headlines import HEADLINES, choose_headlines
from ..charts.interval import Mark
from ..charts.svg import NOTHING, RATES, Axis, choose_axis
from ..display import list_models, list_unique, make_finite
from ..values import choose_scale, describe_item, format_estimate, format_number
from .gates import ICONS, get_id
from .rows import Subject, find_row
from .tables import BETTER, Glossary, Term

CHANGES = {WORSE: "worse", IS_BETTER: "better", NO_CHANGE: "same", NOT_TESTED: "same"}
"""The icon of each verdict on a change."""

CALIBRATION = Axis(0.0, 0.4, ((0.0, "0"), (0.1, "0.1"), (0.2, "0.2"), (0.3, "0.3"), (0.4, "0.4")))
"""The axis of calibration errors."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a row. ``icon``: ``worse``, ``better`` or ``same``. ``text``: with its interval. ``was``: the value before."""

    icon: str
    word: str
    text: str
    was: str


@dataclass(frozen=True, slots=True)
class Score:
    """A row on a card. ``below``: its interval, threshold and controls in words. ``change``: to the baseline; None without one.

    is_small: whether it is another task's headline, without a bar.
    """

    term: Term
    value: str
    icon: str
    icon_word: str
    below: str
    bar: Markup
    is_small: bool = False
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class CardPart:
    """A dimension on a card. ``scores``: empty if it was not measured."""

    title: str
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """A model. ``status``: what its gates say, with an icon."""

    model: str
    on: str
    icon: str
    status: str
    parts: tuple[CardPart, ...]


def make_cards(subject: Subject, glossary: Glossary, /) -> list[Card]:
    """Return a card per model, each with the same dimensions in the same order."""
    return [_make_card(subject, glossary, model) for model in list_models(subject.card)]


def _make_card(subject: Subject, glossary: Glossary, model: str) -> Card:
    own = [row for row in subject.card.rows if row.model == model]
    read = [line.icon for reading in subject.readings if (line := reading.get_worst(model)) is not None]
    icon = min(read, key=ICONS.index, default="none")
    num = read.count(icon)
    words = {"pass": "pass", "fail": "fail", "open": "open", "none": ""}
    verb = words[icon] if num != 1 else {"pass": "passes", "fail": "fails", "open": "open", "none": ""}[icon]
    status = f"{num} of {len(read)} gates {verb}" if len(read) > 1 else f"Its gate {'is open' if icon == 'open' else verb}"
    sizes: dict[str, int] = {}
    for row in own:
        if row.key.is_task:
            sizes[row.item] = max(sizes.get(row.item, 0), row.estimate.n + row.estimate.n_unscored)
    on = ", ".join(f"{task} ({n:,})" for task, n in sizes.items())
    parts = tuple(
        CardPart(d.capitalize(), tuple(_list_scores(subject, glossary, [r for r in own if r.dimension == d], d))) for d in DIMENSIONS
    )
    if subject.card.timing:
        parts = (*parts[:-1], CardPart("Efficiency", tuple(_make_speed(subject, model, own))))
    return Card(model, on, icon, status if read else "No gate", parts)


def _list_scores(subject: Subject, glossary: Glossary, rows: list[Row], dimension: str) -> Iterator[Score]:
    """Yield the scores of a dimension: its headline, rows that gates read, and the other tasks' headlines."""
    if dimension == "efficiency":
        return
    headlines = choose_headlines(rows, dimension)
    if dimension in ("robustness", "interpretability"):
        headlines = [row for row in headlines if row.metric in HEADLINES[dimension]] or headlines
    if dimension in ("calibration", "robustness", "interpretability"):
        headlines = sorted(headlines, key=_badness)[:1]
    read = [line.row for reading in subject.readings for model in list_unique(r.model for r in rows) if (line := reading.get_worst(model))]
    asked = [row for row in rows if row in read and row not in headlines]
    for place, row in enumerate([*headlines[:1], *asked, *headlines[1:]]):
        yield _make_score(subject, glossary, row, is_small=place > len(asked))


def _badness(row: Row) -> tuple[bool, float]:
    """Return a key that sorts rows from the worst to the best; rows without a value come last."""
    value = make_finite(row.estimate).value
    return (value is None, (value or 0.0) * (-1.0 if row.higher_is_better is False else 1.0))


def _make_score(subject: Subject, glossary: Glossary, row: Row, is_small: bool) -> Score:
    join = "on" if row.key.is_task else "under" if row.dimension == "robustness" else "of"
    several = len({r.key.task for r in subject.card.rows if r.model == row.model}) > 1
    name = describe_item(row.key) if several or row.key.is_task else row.key.title
    term = glossary.explain(row, f"{subject.title_of(row)} {join} {name}")
    clean, random = find_row(subject, row, "clean_accuracy"), find_row(subject, row, row.metric, "random")
    marks, axis = [], RATES if subject.is_rate(row) else None
    below = [subject.format_bounds(row) or row.estimate.reason]
    below += [
        f"asked {line.target}" if not line.is_difference else line.target for line in subject.judged.get(get_id(row), ()) if line.target
    ]
    if row.metric == "robust_accuracy" and clean is not None and clean.estimate.value is not None:
        below.append(f"without attack {subject.format_value(clean)}")
        marks.append(Mark("tick", clean.estimate.value))
    if random is not None and random.estimate.value is not None:
        below.append(f"random order {format_number(random.estimate.value)}")
        marks.append(Mark("ring", random.estimate.value))
        values = [v for r in (row, random) for v in (r.estimate.value, r.estimate.low, r.estimate.high) if v is not None]
        axis = choose_axis(values, most=1.0)
    if row.metric == "ece":
        axis = CALIBRATION
    if axis is not RATES and row.higher_is_better is not None and not is_small:
        below.append(BETTER[row.higher_is_better])
    change = subject.changes.get(get_id(row))
    if change is not None and change.baseline.value is not None:
        marks.append(Mark("triangle", change.baseline.value))
    bar = subject.draw(row, axis, marks) if axis is not None and not is_small else NOTHING
    value = format_estimate(row.estimate, subject.is_rate(row), row.unit)
    return Score(term, value, *subject.get_gate(row), " · ".join(filter(None, below)), bar, is_small, _make_change(subject, change))


def _make_change(subject: Subject, change: RowChange | None) -> Change | None:
    """Return a change in words; None if there is none to tell."""
    d, was = (change.difference, change.baseline.value) if change is not None else (None, None)
    if change is None or d is None or d.value is None or was is None:
        return None
    scale = choose_scale(change.row, subject.card.measures, is_difference=True)
    bounds = f" ({scale.format_bounds(d.low, d.high)})" if d.low is not None and d.high is not None else ""
    return Change(CHANGES.get(change.verdict, "same"), change.verdict, f"{scale.format(d.value)}{bounds}", scale.absolute.format(was))


def _make_speed(subject: Subject, model: str, rows: list[Row]) -> Iterator[Score]:
    """Yield the speed of the model's tasks, together."""
    tasks = {row.item for row in rows if row.key.is_task}
    spent = [subject.card.timing.get(f"{model}/{task}") for task in tasks]
    found = [entry for entry in spent if isinstance(entry, Mapping) and entry.get("seconds")]
    seconds = sum(float(entry["seconds"]) for entry in found)
    if seconds > 0:
        num = sum(float(entry["samples_per_s"]) * float(entry["seconds"]) for entry in found)
        speed = f"{num / seconds:,.0f} samples/s" if num / seconds >= 10 else f"{num / seconds:.2g} samples/s"
        yield Score(Term("Speed on its tasks"), speed, "", "", "on this machine; no gate should rest on it", NOTHING)
