"""A card per model: one headline row per dimension, and the rows that gates read; and beside it the same rows of its baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...harness.api.comparison import BASELINE, Comparison, name_side
from ...harness.api.scorecard import DIMENSIONS, Row
from ...harness.scorecard.counterparts import drop_models
from ...harness.scorecard.headlines import HEADLINES, choose_headlines
from ..display import list_models, make_finite
from .judged import ICONS, get_id
from .rows import Subject
from .scores import Score, make_score, make_speed
from .tables import Glossary

Chosen = Sequence[tuple[Row, bool]]
"""The rows of a dimension on a card; for each whether it is small."""
_SECONDS = "seconds_per_sample"


@dataclass(frozen=True, slots=True)
class CardPart:
    """A dimension on a card. ``scores``: empty if it was not measured."""

    title: str
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """A model.

    on: its tasks. status: what its gates say, with an icon. note: what part it has in comparisons.
    is_baseline: whether it is of another run, and not judged.
    """

    model: str
    on: str
    icon: str
    status: str
    parts: tuple[CardPart, ...]
    note: str = ""
    is_baseline: bool = False

    @property
    def shapes(self) -> tuple[str, ...]:
        """The shapes of the marks on its bars."""
        return tuple(shape for part in self.parts for score in part.scores for shape in score.shapes)


def make_cards(subject: Subject, glossary: Glossary, /) -> list[Card]:
    """Return a card per model, each with the same dimensions in the same order. A baseline from another run follows its model."""
    cards = []
    for model in list_models(subject.card):
        chosen = {dimension: _choose_rows(subject, model, dimension) for dimension in DIMENSIONS}
        cards.append(_make_card(subject, glossary, model, chosen))
        if (found := _find_comparison(subject, model)) is not None:
            cards.append(_make_baseline_card(subject, glossary, found, chosen))
    return cards


def _make_card(subject: Subject, glossary: Glossary, model: str, chosen: Mapping[str, Chosen]) -> Card:
    read = [line.icon for reading in subject.readings if (line := reading.get_worst(model)) is not None]
    icon = min(read, key=ICONS.index, default="none")
    num = read.count(icon)
    words = {"pass": "pass", "fail": "fail", "open": "open", "none": ""}
    verb = words[icon] if num != 1 else {"pass": "passes", "fail": "fails", "open": "open", "none": ""}[icon]
    status = f"{num:,} of {len(read):,} gates {verb}" if len(read) > 1 else f"Its gate {'is open' if icon == 'open' else verb}"
    on = _describe_sizes(row for row in subject.card.rows if row.model == model)
    is_first = any(found.baseline == model for found in subject.card.comparisons)
    note = "· the other models are compared with it" if is_first else ""
    return Card(model, on, icon, status if read else "No gate", _make_parts(subject, glossary, chosen), note)


def _make_baseline_card(subject: Subject, glossary: Glossary, found: Comparison, chosen: Mapping[str, Chosen]) -> Card:
    """Return a card with the baseline's numbers for the chosen rows, over the samples that both have."""
    own = {get_id(change.row): replace(change.row, estimate=change.baseline) for change in found.rows}
    timed = [row for row in subject.card.baseline_times if name_side(BASELINE, row.model) == found.baseline]
    times = {(drop_models(row.key), row.name): row for row in timed}

    def find(row: Row) -> Row | None:
        return times.get((drop_models(row.key), row.name)) if row.metric == _SECONDS else own.get(get_id(row))

    before = Subject(replace(subject.card, rows=tuple(own.values()), gates=(), comparisons=()), ())
    same = {d: [(other, is_small) for row, is_small in rows if (other := find(row)) is not None] for d, rows in chosen.items()}
    model = found.baseline.removeprefix(name_side(BASELINE, ""))
    parts = _make_parts(before, glossary, same)
    return Card(model, _describe_sizes(own.values()), "none", "Baseline", parts, "· compared with, not judged", is_baseline=True)


def _find_comparison(subject: Subject, model: str) -> Comparison | None:
    """Return the comparison of a model with that of another run; None without one."""
    others = (found for found in subject.card.comparisons if found.baseline not in list_models(subject.card))
    return next((found for found in others if found.candidate == model), None)


def _make_parts(subject: Subject, glossary: Glossary, chosen: Mapping[str, Chosen]) -> tuple[CardPart, ...]:
    parts = []
    for dimension, rows in chosen.items():
        is_speed = dimension == "efficiency"
        scores = (make_speed(glossary, row, small) if is_speed else make_score(subject, glossary, row, small) for row, small in rows)
        parts.append(CardPart(dimension.capitalize(), tuple(scores)))
    return tuple(parts)


def _describe_sizes(rows: Iterable[Row]) -> str:
    """Return the tasks with their numbers of samples: ``reviews (1,200), digits (360)``."""
    sizes: dict[str, int] = {}
    for row in rows:
        if row.key.is_task:
            sizes[row.item] = max(sizes.get(row.item, 0), row.estimate.n + row.estimate.n_unscored)
    return ", ".join(f"{task} ({n:,})" for task, n in sizes.items())


def _choose_rows(subject: Subject, model: str, dimension: str) -> Chosen:
    """Return the rows of a dimension: its headline, rows that gates read, and, small, the other tasks' headlines."""
    if dimension == "efficiency":
        times = [row for row in subject.card.times if row.model == model and row.key.is_task and row.metric == _SECONDS]
        return [(row, place > 0) for place, row in enumerate(times)]
    rows = [row for row in subject.card.rows if (row.model, row.dimension) == (model, dimension)]
    headlines = choose_headlines(rows, dimension)
    if dimension in ("calibration", "robustness", "interpretability"):
        headlines = _find_worst(headlines, HEADLINES[dimension])
    read = [line.row for reading in subject.readings if (line := reading.get_worst(model)) is not None]
    asked = [row for row in rows if row in read and row not in headlines]
    return [(row, place > len(asked)) for place, row in enumerate([*headlines[:1], *asked, *headlines[1:]])]


def _find_worst(headlines: Sequence[Row], metrics: Sequence[str]) -> list[Row]:
    """Return the worst row of the first metric that any has: numbers of different metrics cannot be compared."""
    first = next((metric for metric in metrics if any(row.metric == metric for row in headlines)), None)
    return sorted((row for row in headlines if first in (None, row.metric)), key=_badness)[:1]


def _badness(row: Row) -> tuple[bool, float]:
    """Return a key that sorts rows from the worst to the best; rows without a value come last."""
    value = make_finite(row.estimate).value
    return (value is None, (value or 0.0) * (-1.0 if row.higher_is_better is False else 1.0))
