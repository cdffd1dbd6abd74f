"""The index of the page's explorer: what samples are told apart by, in columns, and the order in which they are kept.

A *facet* is a question with few answers (task, class, right or wrong), which filters samples. A *profile* is a sample's answers to all of
them: samples with one profile are alike to every filter, so that the page counts profiles instead of samples.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..harness.api.scorecard import SampleView
from ..harness.api.visible_text import make_visible
from .display import clip
from .explorer import judge, plain_text
from .media import Need

FACETS = ("model", "task", "answer", "flip", "attack", "probe", "class", "predicted", "slice", "category", "group")
FREE = FACETS[FACETS.index("class") :]
"""Facets whose answers are any texts: those of a task are left out unless they repeat."""
MOST_ANSWERS = 1_000
"""The largest number of answers of a task to a facet."""
LONGEST_NAME = 80
"""The largest number of characters of an answer to a facet."""
MOST_NUMBERS = 40
"""The largest number of columns with numbers."""
TEXT_LIMIT = 400
"""Number of characters of a sample's text that are searched and listed."""

_TWIN = {True: "flipped", False: "survived", None: "not attacked"}
_SLICES = {
    "wrong_and_unfaithful": "wrong, and unfaithful",
    "flipped_explanation_unmoved": "flipped by attack, explanation unmoved",
    "right_for_wrong_reason": "right for the wrong reason",
}
_STRATUM = [FACETS.index(name) for name in ("model", "task", "class", "slice")]

Answers = tuple[tuple[str, ...], ...]
"""A sample's answers to each facet."""


def list_answers(sample: SampleView, /) -> Answers:
    """Return a sample's answers to each facet."""
    attacked = (
        tuple(dict.fromkeys([f"{twin.attack}: {'failed' if twin.is_failed else _TWIN[twin.success]}" for twin in sample.twins]))
        if sample.twins
        else ()
    )
    probed = tuple(dict.fromkeys(_list_probed(sample))) if sample.heats else ()
    free = [
        (value,) if value and _is_name(value) else ()
        for value in (sample.target, sample.prediction, sample.slice, sample.category, sample.group)
    ]
    return ((sample.model,), (sample.task,), (judge(sample),), _list_flip(sample), attacked, probed, *free)


def _is_name(text: str) -> bool:
    """Whether a text may be the name of a class or group, rather than a passage, such as the reference of a translation."""
    return len(text) <= LONGEST_NAME and "\n" not in text


def _list_flip(sample: SampleView) -> tuple[str, ...]:
    """Return how the answer compares with the baseline's; nothing unless both are right or wrong."""
    before, after = None if sample.baseline is None else sample.baseline.correct, sample.correct
    if before is None or after is None:
        return ()
    return ("same" if before == after else "fixed" if after else "regressed",)


def _list_probed(sample: SampleView) -> Iterator[str]:
    """Yield, for each probe, whether it has a map, and the slices that the map is in."""
    for heat in sample.heats:
        yield f"{heat.probe}: {'failed' if heat.error is not None else 'explained'}"
        yield from (f"{heat.probe}: {_SLICES.get(name, name)}" for name, is_in in heat.slices.items() if is_in)


def write_text(sample: SampleView, /) -> str:
    """Return the text of a sample that is searched and listed: its input, and after a line break label, answer and error."""
    said = (sample.target, sample.prediction, sample.category, sample.group, sample.error)
    first = " ".join(plain_text(sample)[: 4 * TEXT_LIMIT].split())
    first = first if len(first) <= TEXT_LIMIT else f"{first[: TEXT_LIMIT - 1]}…"
    return "\n".join([make_visible(first), *[" ".join(make_visible(clip(part, 200)).split()) for part in said if part]])


class Numbers:
    """The numbers of samples in columns by name: the confidence in the prediction, the scores, and the facts about their twins."""

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {}
        self._num = 0

    def add(self, sample: SampleView, /) -> None:
        """Add the next sample."""
        if sample.probabilities and sample.prediction is not None:
            self._put("confidence", sample.probabilities.get(sample.prediction))
        for name, value in sample.scores.items():
            self._put(name, value)
        for twin in sample.twins:
            for name, value in twin.facts.items():
                self._put(f"{twin.attack}: {name}", value)
        self._num += 1

    def _put(self, name: str, value: float | None) -> None:
        column = self._columns.get(name)
        if value is None or not math.isfinite(value) or (column is None and len(self._columns) >= MOST_NUMBERS):
            return
        if column is None:
            column = self._columns[name] = array("d")
        column.extend([math.nan] * (self._num + 1 - len(column)))
        column[self._num] = value

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self._columns)

    def write(self, places: Sequence[int], /) -> str:
        """Return, as JSON, a list with the finite numbers of these samples for each column, with four digits; null for no number."""
        return f"[{','.join(self._write_column(column, places) for column in self._columns.values())}]"

    @staticmethod
    def _write_column(column: array[float], places: Sequence[int]) -> str:
        values = [column[place] if place < len(column) else math.nan for place in places]
        return f"[{','.join([f'{value:.4g}' if value == value else 'null' for value in values])}]"


@dataclass(frozen=True)
class Encoded:
    """The facets with the answers that occur, the profiles as positions of answers, and the profile of each sample."""

    facets: list[dict[str, Any]]
    profiles: list[list[list[int]]]
    of: np.ndarray[Any, np.dtype[np.intp]]

    def count_left(self, kept: Sequence[int], /) -> list[int]:
        """Return, for each profile, the number of its samples that are not at the positions ``kept``."""
        num = len(self.profiles)
        left: list[int] = (np.bincount(self.of, minlength=num) - np.bincount(self.of[np.asarray(kept, np.intp)], minlength=num)).tolist()
        return left


class Profiles:
    """The profile of each sample."""

    def __init__(self) -> None:
        self._profiles: dict[Answers, int] = {}
        self._last: Answers = ()
        self._of = array("L")
        self._needs = array("B")
        self._turns: Counter[Answers] = Counter()

    def add(self, sample: SampleView, /) -> None:
        """Add the next sample."""
        self._last = list_answers(sample)
        self._of.append(self._profiles.setdefault(self._last, len(self._profiles)))
        self._needs.append(_rank_need(sample))

    def take_turn(self) -> Need:
        """Return about where the last sample will stand in the order of `rank`, which is known at the end."""
        need, profile = self._needs[-1], self._last
        stratum = ((str(need),), *(profile[facet] for facet in _STRATUM))
        self._turns[stratum] += 1
        return need, self._turns[stratum], len(self._of)

    def rank(self) -> list[int]:
        """Return the positions of samples in the order in which they are kept.

        First those that failed, then those that flipped (under an attack, or against the baseline), then wrong ones, then all others;
        within each, models, tasks, classes and slices take turns.
        """
        strata: dict[Answers, int] = {}
        number = [strata.setdefault(tuple(profile[facet] for facet in _STRATUM), len(strata)) for profile in self._list_told_apart()]
        needs = np.asarray(self._needs, np.intp)
        stratum = np.asarray(number, np.intp)[np.asarray(self._of, np.intp)] + len(strata) * needs
        alike = np.argsort(stratum, kind="stable")
        first = np.searchsorted(stratum[alike], stratum)  # where the samples of a stratum begin among all
        turns = np.empty_like(stratum)
        turns[alike] = np.arange(len(stratum))
        order: list[int] = np.lexsort((turns - first, needs)).tolist()
        return order

    def _list_told_apart(self) -> list[Answers]:
        """Return the profiles without the answers of a task to a free facet that has too many of them, or that hardly repeat."""
        counts = np.bincount(np.asarray(self._of, np.intp), minlength=len(self._profiles)).tolist()
        task, free = FACETS.index("task"), [FACETS.index(name) for name in FREE]
        different: dict[tuple[int, tuple[str, ...]], set[tuple[str, ...]]] = defaultdict(set)
        nums: dict[tuple[int, tuple[str, ...]], int] = defaultdict(int)
        for profile, num in zip(self._profiles, counts, strict=True):
            for facet in free:
                if profile[facet]:
                    different[facet, profile[task]].add(profile[facet])
                    nums[facet, profile[task]] += num
        dropped = {key for key, found in different.items() if len(found) > min(MOST_ANSWERS, nums[key] / 2)}
        return [tuple(() if (facet, p[task]) in dropped else given for facet, given in enumerate(p)) for p in self._profiles]

    def encode(self) -> Encoded:
        """Return the facets and profiles as the page has them."""
        merged: dict[Answers, int] = {}
        number = np.asarray([merged.setdefault(profile, len(merged)) for profile in self._list_told_apart()], np.intp)
        facets, places = [], []
        for facet, name in enumerate(FACETS):
            names = list(dict.fromkeys([answer for profile in merged for answer in profile[facet]]))
            order = names if name in ("model", "task", "answer") else sorted(names)
            places.append({answer: place for place, answer in enumerate(order)})
            facets.append({"name": name, "answers": [make_visible(clip(answer, 200)) for answer in order]})
        profiles = [[[known[answer] for answer in given] for known, given in zip(places, profile, strict=True)] for profile in merged]
        return Encoded(facets, profiles, number[np.asarray(self._of, np.intp)])


def _rank_need(sample: SampleView) -> int:
    """Return how much a sample needs to be looked at; 0 is the most."""
    if sample.error is not None:
        return 0
    if any(twin.success for twin in sample.twins) or _list_flip(sample) in (("regressed",), ("fixed",)):
        return 1
    return 2 if sample.correct is False else 3
