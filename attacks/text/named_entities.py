"""Recognise names of people and places by word lists, in place of a neural tagger, which would be a pickle.

A capitalised word in TextAttack's lists of first names, last names, countries or cities is a name. Without
context, "Will" at the beginning of a sentence counts as one, and a text in lower case has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple


class Entity(NamedTuple):
    """A tag in flair's format: ``B``, ``E``, ``S`` for the first, last and only word of a person's or
    location's name; ``O`` for others."""

    value: str
    score: float = 1.0


def tag_entity(words: Sequence[str], index: int, /) -> Entity:
    """Return the tag of the word at the index."""
    first, last, locations = _load_lists()
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
def _load_lists() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    data = import_module("textattack.shared.data")
    names, places = data.PERSON_NAMES, data.NAMED_ENTITIES
    return frozenset(names["first"]), frozenset(names["last"]), frozenset([*places["country"], *places["city"]])
