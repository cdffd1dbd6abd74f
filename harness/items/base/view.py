"""Records made ready to be looked at: what kinds of items show of a sample on a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from ...api.samples import Record, Sample
from ...api.scorecard import Heat, Shown
from ...modalities.base import modality_of
from ...store import StoredItem

MOST_CHARACTERS = 20_000
_MOST_CELLS = 32
_MOST_NAMES = 1_000


@dataclass(frozen=True, slots=True)
class SeenSample:
    """A record of an item about a sample, with what else the run knows of that sample.

    ``is_right``: whether the model's plain answer is right, None where nobody knows. ``joined``: the records of all items about the sample
    whose kinds are joined with it, each with its item.
    """

    sample: Sample
    item: StoredItem
    record: Record
    is_right: bool | None
    joined: Sequence[tuple[StoredItem, Record]]


def is_right(task: StoredItem, record: Record, /) -> bool | None:
    """Whether a task's record is right by the task's primary score; None where nobody knows."""
    score = record.scores.get(task.facts["primary"])
    return None if score is None else score == 1


def shown(value: object) -> Shown:
    """The preview of an input. A value without a modality, a plugin's own of which the record has what JSON has, is shown as text."""
    known = modality_of(value)
    if known is None:
        return Shown("text", text=cut(str(value)))
    try:
        return _shorten(known.preview(value))
    except Exception as error:  # noqa: BLE001 - a plugin's, or a record's that is nonsense: the numbers stand
        return Shown("text", text=cut(f"the modality {known.name!r} cannot show this: {type(error).__name__}: {error}"))


def _shorten(preview: Shown) -> Shown:
    parts = tuple((name, _shorten(part) if isinstance(part, Shown) else cut(part)) for name, part in preview.parts)
    return replace(preview, text=cut(preview.text), parts=parts)


def cut(text: str) -> str:
    """The text, shortened to what a page shows."""
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]} … [{len(text) - MOST_CHARACTERS} more characters are in the record]"


def label(value: Any, labels: Sequence[str]) -> str | None:
    """A class index by its name; text as it is."""
    if value is None:
        return None
    return labels[value] if isinstance(value, int) and 0 <= value < len(labels) else str(value)


def answer(record: Record, labels: Sequence[str]) -> str | None:
    """The model's answer: a class, or the text it wrote where the task reads no answer out of that."""
    found = label(record.artifacts.get("prediction", record.artifacts.get("output")), labels)
    return found if found is None else cut(found)


def heat_map(probe: str, found: Mapping[str, Any], sample: Sample) -> Heat:
    """A recorded attribution, scaled by its largest magnitude, and pooled where it is an image's."""
    values = _pooled(np.asarray(found["values"], dtype=np.float64))
    largest = float(np.abs(values).max()) if values.size else 0.0
    scaled = values / largest if largest else values
    shape = (int(values.shape[0]), int(values.shape[1])) if values.ndim == 2 else None
    spans = tuple((int(a), int(b)) for a, b in found["spans"])
    # Words beyond the shown part of a long text have no place to be shown at; they are the last ones.
    num_shown = sum(end <= MOST_CHARACTERS for _, end in spans) if spans else values.size
    kept = tuple(round(float(v), 4) for v in islice(scaled.reshape(-1), num_shown))
    kind, target = str(found["parts"]), label(found["target"], sample.labels) or ""
    names = () if spans or shape else _name_parts(kind, sample, values.size)
    return Heat(probe, target, kept[: len(names) or None], spans[:num_shown], shape, parts=kind, names=names)


def _name_parts(kind: str, sample: Sample, num: int) -> tuple[str, ...]:
    """What the first parts are called, by their modality; where that does not tell, by their numbers."""
    known = modality_of(sample.input)
    parts: Iterable[object] = range(num)
    if known is not None and known.part_kind == kind:
        try:
            own = list(known.parts(sample.input))
        except Exception:  # noqa: BLE001 - a plugin's: the numbers stand
            own = []
        parts = own if len(own) == num else parts
    return tuple(cut(str(part)) for part in islice(parts, _MOST_NAMES))


def _pooled(values: np.ndarray) -> np.ndarray:
    """An image's attributions summed over square cells, so that no side has more than `_MOST_CELLS`: sums keep completeness."""
    if values.ndim != 2:
        return values
    cell = -(-max(values.shape) // _MOST_CELLS)
    if cell == 1:
        return values
    edges = [np.arange(0, side, cell) for side in values.shape]
    return np.add.reduceat(np.add.reduceat(values, edges[0], axis=0), edges[1], axis=1)
