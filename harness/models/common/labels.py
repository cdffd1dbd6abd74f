"""Match the class names of a model with those of a task. Classes with names are never matched by position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from ...api.errors import ModelError


def normalise(name: str, /) -> str:
    """Return the words of a name in lower case."""
    return re.sub(r"[\W_]+", " ", str(name)).strip().casefold()


def are_numbered(names: Sequence[str], /) -> bool:
    """Whether names are default names: ``LABEL_0``, ``LABEL_1``, ... in order, or 0, 1, ..."""
    return all(re.fullmatch(rf"(?i)(label[ _]?)?{i}", str(name)) for i, name in enumerate(names))


def name_other(name: str, /) -> str:
    """Return the name of the other class of two, if only one has a name."""
    return f"not {name}"


def find_columns(model_labels: Sequence[str], labels: Sequence[str], /) -> list[int]:
    """Return the model's output column for each of ``labels``, by exact name, else by its words in lower case.

    A model with default names (`are_numbered`) is assumed to have the order of ``labels``. Of two classes, the model's
    "not toxic" beside "toxic" matches any other label.

    Raises `ModelError` if the names do not match.
    """
    # Cached, because all passes of a task repeat the labels, and matching a thousand takes longer than an image.
    return list(_find_columns(tuple(map(str, model_labels)), tuple(map(str, labels))))


@lru_cache(maxsize=64)
def _find_columns(model_labels: Sequence[str], labels: Sequence[str]) -> list[int]:
    if not labels:
        return list(range(len(model_labels)))
    for form in (str, normalise):
        known = {form(name): column for column, name in enumerate(model_labels)}
        wanted = [form(name) for name in labels]
        # Unique on both sides: "+" and "-", for example, have no words.
        if len(known) == len(model_labels) == len(labels) and set(wanted) == set(known):
            return [known[name] for name in wanted]
        if len(labels) == 2 and len(model_labels) == 2 and model_labels[0] == name_other(model_labels[1]):
            is_named = [name == form(model_labels[1]) for name in wanted]
            if sum(is_named) == 1:
                return [int(named) for named in is_named]
    if are_numbered(model_labels):
        if len(model_labels) != len(labels):
            raise ModelError(
                f"the model has {len(model_labels)} classes, the task {len(labels)} ({', '.join(labels)}); the numbers must be equal"
            )
        return list(range(len(labels)))
    raise ModelError(
        f"the task's labels ({', '.join(labels)}) are not the model's ({', '.join(model_labels)}). Set the names of the model's outputs, "
        f"in order, in the model setting 'labels: [...]', or those of the task in the task setting 'labels: [...]'"
    )
