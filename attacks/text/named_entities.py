"""Names of people and places by lists: what stands in for a tagger of named entities, which would be a pickle.

A capitalised word that is in TextAttack's own lists of first names, last names, countries or cities is a name. Without context, "Will" at
the beginning of a sentence is one too, and no text in lower case holds any.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple


class Entity(NamedTuple):
    """As flair tags: ``B``, ``E`` and ``S`` for the first, the last and the only word of a name, of a person or a location; ``O``."""

    value: str
    score: float = 1.0


def entity(words: Sequence[str], index: int, /) -> Entity:
    first, last, locations = _lists()
    word, after, before = words[index], words[index + 1 : index + 2], words[max(index - 1, 0) : index]
    if word not in first and word not in last and word not in locations:
        return Entity("O")
    if word in locations:
        return Entity("S-LOC")
    if word in first and after and after[0] in last:
        return Entity("B-PER")
    if word in last and before and before[0] in first:
        return Entity("E-PER")
    return Entity("S-PER")


@cache
def _lists() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    data = import_module("textattack.shared.data")
    names, places = data.PERSON_NAMES, data.NAMED_ENTITIES
    return frozenset(names["first"]), frozenset(names["last"]), frozenset([*places["country"], *places["city"]])
