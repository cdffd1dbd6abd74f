"""Class names: the model's against the asker's. Numbers are never matched by position alone when names say otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from ...api.errors import ModelError


def normalised(name: str, /) -> str:
    return re.sub(r"[\W_]+", " ", str(name)).strip().casefold()


def are_numbered(names: Sequence[str], /) -> bool:
    """Whether these are the names of classes that were never given any: ``LABEL_0``, ``LABEL_1``, ... in order, or 0, 1, ..."""
    return all(re.fullmatch(rf"(?i)(label[ _]?)?{i}", str(name)) for i, name in enumerate(names))


def other_than(name: str, /) -> str:
    """The other one of two classes, of which only one has a name."""
    return f"not {name}"


def columns_of(model_labels: Sequence[str], labels: Sequence[str], /) -> list[int]:
    """For each of ``labels``, the model's output column of that name: exactly, else by its words in lower case.

    A model that was never told its names (`are_numbered`) is taken to count as the asker does. Of two classes, "not toxic" beside "toxic"
    is whatever the asker has beside "toxic".
    """
    # Kept, for they are the same in each pass of a task: a thousand names take longer than their pixels.
    return list(_columns(tuple(map(str, model_labels)), tuple(map(str, labels))))


@lru_cache(maxsize=64)
def _columns(model_labels: Sequence[str], labels: Sequence[str]) -> list[int]:
    if not labels:
        return list(range(len(model_labels)))
    for form in (str, normalised):
        known = {form(name): column for column, name in enumerate(model_labels)}
        wanted = [form(name) for name in labels]
        # All different on both sides: "+" and "-" have no words to tell them apart by.
        if len(known) == len(model_labels) == len(labels) and set(wanted) == set(known):
            return [known[name] for name in wanted]
        if len(labels) == 2 and len(model_labels) == 2 and model_labels[0] == other_than(model_labels[1]):
            is_named = [name == form(model_labels[1]) for name in wanted]
            if sum(is_named) == 1:
                return [int(named) for named in is_named]
    if are_numbered(model_labels):
        if len(model_labels) != len(labels):
            raise ModelError(
                f"the model has {len(model_labels)} classes, the task {len(labels)} ({', '.join(labels)}); they must be the same"
            )
        return list(range(len(labels)))
    raise ModelError(
        f"the task's labels ({', '.join(labels)}) are not the model's ({', '.join(model_labels)}). Name the model's classes in the "
        f"order of its outputs by the task's names in the model setting 'labels: [...]', or the task's in the task setting 'labels: [...]'"
    )
