"""Class names: the model's against the asker's. Numbers are never matched by position alone when names say otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import ModelError


def normalised(name: str, /) -> str:
    return re.sub(r"[\W_]+", " ", str(name)).strip().casefold()


def columns_of(model_labels: Sequence[str], labels: Sequence[str], /) -> list[int]:
    """For each of ``labels``, the model's output column of that name.

    A model that was never told its names (``LABEL_0``, ``LABEL_1``, ...; or none) is taken to count as the asker does.
    """
    if not labels:
        return list(range(len(model_labels)))
    if all(re.fullmatch(r"(?i)label[ _]?\d+|\d+", str(name)) for name in model_labels):
        if len(model_labels) != len(labels):
            raise ModelError(
                f"the model has {len(model_labels)} classes, the task {len(labels)} ({', '.join(labels)}); they must be the same"
            )
        return list(range(len(labels)))
    known = {normalised(name): column for column, name in enumerate(model_labels)}
    missing = [name for name in labels if normalised(name) not in known]
    if missing or len(known) != len(labels):
        raise ModelError(
            f"the task's labels ({', '.join(labels)}) are not the model's ({', '.join(model_labels)}). Name the model's classes in the "
            f"task's order with the model setting 'labels: [...]', or the task's with the task setting 'labels: [...]'"
        )
    return [known[normalised(name)] for name in labels]
