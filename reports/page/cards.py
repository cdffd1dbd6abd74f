"""A card per model: one headline row per dimension, and the rows that gates read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from ...harness.api.scorecard import DIMENSIONS, Row
from ..charts.interval import Mark
from ..charts.svg import NOTHING, RATES, Axis, choose_axis
from ..display import list_models, make_finite
from ..values import describe_item, format_estimate, format_number
from .gates import ICONS, get_icon
from .rows import Subject, find_row, get_id
from .tables import BETTER, Glossary, Term

HEADLINES: Mapping[str, tuple[str, ...]] = {
    "quality": ("accuracy", "bits_per_byte", "acc", "exact_match"),
    "calibration": ("ece", "log_loss", "brier"),
    "robustness": ("robust_accuracy", "attack_success_rate"),
    "interpretability": ("comprehensiveness", "aopc", "token_f1"),
}
"""The metrics that stand for a dimension, the first one that an item has; otherwise its first row."""

CALIBRATION = Axis(0.0, 0.4, ((0.0, "0"), (0.1, "0.1"), (0.2, "0.2"), (0.3, "0.3"), (0.4, "0.4")))
"""The axis of calibration errors."""


@dataclass(frozen=True, slots=True)
class Score:
    """A row on a card. ``below``: its interval, threshold and controls in words. ``change``: what a comparison says of it.

    is_small: whether it is another task's headline, without a bar.
    """

    term: Term
    value: str
    icon: str
    icon_word: str
    below: str
    bar: Markup
    is_small: bool = False
    change: str = ""


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
    pairs = ((reading, [outcome for row, outcome in reading.rows if row.model == model]) for reading in subject.readings)
    read = [min(map(get_icon, outcomes), key=ICONS.index) for _, outcomes in pairs if outcomes]
    icon = min(read, key=ICONS.index, default="none")
    num = read.count(icon)
    words = {"pass": "pass", "fail": "fail", "open": "open", "none": ""}
    verb = words[icon] if num != 1 else {"pass": "passes", "fail": "fails", "open": "open", "none": ""}[icon]
    status = f"{num} of {len(read)} gates {verb}" if len(read) > 1 else f"Its gate {'is open' if icon == 'open' else verb}"
    sizes = {row.item: row.estimate.n + row.estimate.n_unscored for row in reversed(own) if row.key.is_task}
    on = ", ".join(f"{task} ({n:,})" for task, n in reversed(sizes.items()))
    parts = tuple(
        CardPart(d.capitalize(), tuple(_list_scores(subject, glossary, [r for r in own if r.dimension == d], d))) for d in DIMENSIONS
    )
    if subject.card.timing:
        parts = (*parts[:-1], CardPart("Efficiency", tuple(_make_speed(subject, model, own))))
    return Card(model, on, icon, status if read else "No gate", parts)


def choose_headline(rows: Iterable[Row], dimension: str, /) -> Row | None:
    """Return the row that stands for an item in a dimension, among rows over all samples and without controls; None if there is none."""
    plain = [row for row in rows if not (row.slice or row.about or row.control)]
    for metric in HEADLINES.get(dimension, ()):
        found = next((row for row in plain if row.metric == metric), None)
        if found is not None:
            return found
    return next(iter(plain), None)


def choose_headlines(rows: Iterable[Row], dimension: str, /) -> list[Row]:
    """Return the headline row of each model and item, in order; without those that have none."""
    items: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        items.setdefault((row.model, row.item), []).append(row)
    found = (choose_headline(own, dimension) for own in items.values())
    return [row for row in found if row is not None]


def _list_scores(subject: Subject, glossary: Glossary, rows: list[Row], dimension: str) -> Iterator[Score]:
    """Yield the scores of a dimension: its headline, rows that gates read, and the other tasks' headlines."""
    if dimension == "efficiency":
        return
    headlines = choose_headlines(rows, dimension)
    if dimension in ("robustness", "interpretability"):
        headlines = [row for row in headlines if row.metric in HEADLINES[dimension]] or headlines
    if dimension in ("calibration", "robustness", "interpretability"):
        headlines = sorted(headlines, key=_badness)[:1]
    asked = [row for row in rows if get_id(row) in subject.gate_of and row not in headlines]
    for place, row in enumerate([*headlines[:1], *asked, *headlines[1:]]):
        yield _make_score(subject, glossary, row, is_small=place > len(asked))


def _badness(row: Row) -> tuple[bool, float]:
    """Return a key that sorts rows from the worst to the best; rows without a value come last."""
    value = make_finite(row.estimate).value
    return (value is None, (value or 0.0) * (-1.0 if row.higher_is_better is False else 1.0))


def _make_score(subject: Subject, glossary: Glossary, row: Row, is_small: bool) -> Score:
    reading = subject.gate_of.get(get_id(row))
    join = "on" if row.key.is_task else "under" if row.dimension == "robustness" else "of"
    several = len({r.key.task for r in subject.card.rows if r.model == row.model}) > 1
    name = describe_item(row.key) if several or row.key.is_task else row.key.title
    term = glossary.explain(row, f"{subject.title_of(row)} {join} {name}")
    clean, random = find_row(subject, row, "clean_accuracy"), find_row(subject, row, row.metric, "random")
    marks, axis = [], RATES if subject.is_rate(row) else None
    below = [subject.format_bounds(row) or row.estimate.reason]
    if reading is not None and reading.target:
        below.append(f"asked {reading.target}")
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
    bar = subject.draw(row, axis, marks) if axis is not None and not is_small else NOTHING
    value = format_estimate(row.estimate, subject.is_rate(row), row.unit)
    return Score(term, value, *subject.get_gate(row), " · ".join(filter(None, below)), bar, is_small)


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
