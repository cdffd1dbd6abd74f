"""The index of the page's explorer: what samples are told apart by, in columns, and the order in which they are kept.

A *facet* is a question with few answers (task, class, right or wrong), which filters samples. A *profile* is a sample's answers to all of
them: samples with one profile are alike to every filter, so that the page counts profiles instead of samples.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from ..harness.api.scorecard import SampleView
from ..harness.api.visible_text import make_visible
from .display import clip
from .explorer import plain_text

FACETS = ("model", "task", "answer", "attack", "probe", "class", "predicted", "slice", "category", "group")
FREE = FACETS[FACETS.index("class") :]
"""Facets whose answers are any texts: those of a task are left out unless they repeat."""
MOST_ANSWERS = 1_000
"""The largest number of answers of a task to a facet."""
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

Answers = tuple[tuple[str, ...], ...]
"""A sample's answers to each facet."""
Profile = tuple[tuple[int, ...], ...]
"""The positions of answers among those of each facet."""


def judge(sample: SampleView, /) -> str:
    """Return the outcome of a sample in words."""
    if sample.error is not None:
        return "failed"
    return {True: "right", False: "wrong", None: "not judged"}[sample.correct]


def list_answers(sample: SampleView, /) -> Answers:
    """Return a sample's answers to each facet."""
    free = (sample.target, sample.prediction, sample.slice, sample.category, sample.group)
    return (
        (sample.model,), (sample.task,), (judge(sample),),
        tuple(dict.fromkeys(f"{twin.attack}: {_TWIN[twin.success]}" for twin in sample.twins)), tuple(dict.fromkeys(_list_probed(sample))),
        *((value,) if value else () for value in free),
    )  # fmt: skip


def _list_probed(sample: SampleView) -> Iterator[str]:
    """Yield, for each probe, whether it has a map, and the slices that the map is in."""
    for heat in sample.heats:
        yield f"{heat.probe}: {'failed' if heat.error is not None else 'explained'}"
        yield from (f"{heat.probe}: {_SLICES.get(name, name)}" for name, is_in in heat.slices.items() if is_in)


def list_numbers(sample: SampleView, /) -> dict[str, float]:
    """Return a sample's finite numbers by name: the confidence in the prediction, the scores, and the facts about its twins."""
    numbers: dict[str, float | None] = {"confidence": sample.probabilities.get(sample.prediction or "")}
    numbers |= sample.scores
    numbers |= {f"{twin.attack}: {name}": value for twin in sample.twins for name, value in twin.facts.items()}
    return {name: float(f"{value:.4g}") for name, value in numbers.items() if value is not None and math.isfinite(value)}


def write_text(sample: SampleView, /) -> str:
    """Return the text of a sample that is searched and listed: its input, and after a line break label, answer and error."""
    said = (sample.target, sample.prediction, sample.category, sample.group, sample.error)
    first = " ".join(plain_text(sample)[: 4 * TEXT_LIMIT].split())
    first = first if len(first) <= TEXT_LIMIT else f"{first[: TEXT_LIMIT - 1]}…"
    return "\n".join([make_visible(first), *(" ".join(make_visible(clip(part, 200)).split()) for part in said if part)])


class Profiles:
    """The profile of each sample, and the answers to each facet."""

    def __init__(self) -> None:
        self._places: list[dict[str, int]] = [{} for _ in FACETS]
        self._profiles: dict[Profile, int] = {}
        self.of = array("L")
        self._needs = array("B")

    def add(self, sample: SampleView, /) -> None:
        """Add the next sample."""
        answers = list_answers(sample)
        known = zip(self._places, answers, strict=True)
        profile = tuple(tuple(places.setdefault(answer, len(places)) for answer in given) for places, given in known)
        self.of.append(self._profiles.setdefault(profile, len(self._profiles)))
        self._needs.append(_rank_need(sample))

    def rank(self) -> list[int]:
        """Return the positions of samples in the order in which they are kept.

        First those that failed, then those that an attack flipped, then wrong ones, then all others; within each, models, tasks, classes
        and slices take turns.
        """
        strata = [self._find_stratum(profile) for profile in self._list_told_apart()]
        turns: dict[tuple[object, ...], int] = defaultdict(int)
        keys = []
        for place, (need, profile) in enumerate(zip(self._needs, self.of, strict=True)):
            stratum = (need, *strata[profile])
            keys.append((need, turns[stratum], place))
            turns[stratum] += 1
        return [place for _, _, place in sorted(keys)]

    @staticmethod
    def _find_stratum(profile: Profile) -> tuple[tuple[int, ...], ...]:
        return tuple(profile[FACETS.index(name)] for name in ("model", "task", "class", "slice"))

    def _list_told_apart(self) -> list[Profile]:
        """Return the profiles without the answers of a task to a free facet that has too many of them, or that hardly repeat."""
        counts = Counter(self.of)
        task, free = FACETS.index("task"), [FACETS.index(name) for name in FREE]
        different: dict[tuple[int, tuple[int, ...]], set[tuple[int, ...]]] = defaultdict(set)
        nums: Counter[tuple[int, tuple[int, ...]]] = Counter()
        for profile, number in self._profiles.items():
            for facet in free:
                if profile[facet]:
                    different[facet, profile[task]].add(profile[facet])
                    nums[facet, profile[task]] += counts[number]
        dropped = {key for key, found in different.items() if len(found) > min(MOST_ANSWERS, nums[key] / 2)}
        return [tuple(() if (facet, p[task]) in dropped else given for facet, given in enumerate(p)) for p in self._profiles]

    def encode(self, kept: Sequence[int], /) -> dict[str, Any]:
        """Return the facets with the answers that occur, the profiles, the profile of each kept sample, and how many others have each.

        ``kept``: positions of the samples on the page, in the order of its index.
        """
        profiles = self._list_told_apart()
        merged: dict[Profile, int] = {}
        number = [merged.setdefault(profile, len(merged)) for profile in profiles]
        left = Counter(number[profile] for profile in self.of)
        left.subtract(Counter(number[self.of[place]] for place in kept))
        facets, renamed = [], []
        for facet, (name, places) in enumerate(zip(FACETS, self._places, strict=True)):
            used = {answer for profile in merged for answer in profile[facet]}
            names = [answer for answer, place in places.items() if place in used]
            order = names if name in ("model", "task", "answer") else sorted(names)
            at = {places[answer]: new for new, answer in enumerate(order)}
            renamed.append(at)
            facets.append({"name": name, "answers": [make_visible(clip(answer, 200)) for answer in order]})
        return {
            "facets": facets,
            "profiles": [[[renamed[facet][answer] for answer in given] for facet, given in enumerate(profile)] for profile in merged],
            "profile": [number[self.of[place]] for place in kept],
            "left": [left[profile] for profile in range(len(merged))],
        }


def _rank_need(sample: SampleView) -> int:
    """Return how much a sample needs to be looked at; 0 is the most."""
    if sample.error is not None:
        return 0
    if any(twin.success for twin in sample.twins):
        return 1
    return 2 if sample.correct is False else 3
