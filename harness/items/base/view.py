"""Views of records: the previews, labels and heat maps that pages show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from ...api.samples import Record, Sample
from ...api.scorecard import Heat, Shown
from ...modalities.base import find_modality
from ...store import StoredItem

MOST_CHARACTERS = 20_000
_MOST_CELLS = 32
_MOST_NAMES = 1_000


@dataclass(frozen=True, slots=True)
class SeenSample:
    """A record of an item, with the other results of its sample.

    ``is_right``: whether the model's clean answer is right; None if that is unknown.
    ``joined``: the sample's records of all items whose kind ``is_joined``, each with its item.
    """

    sample: Sample
    item: StoredItem
    record: Record
    is_right: bool | None
    joined: Sequence[tuple[StoredItem, Record]]


def is_right(task: StoredItem, record: Record, /) -> bool | None:
    """Tell whether a task's record is right by the task's primary score; None if it has no such score."""
    score = record.scores.get(task.facts["primary"])
    return None if score is None else score == 1


def preview_input(value: object) -> Shown:
    """Return the preview of an input. A value without a modality (recorded as JSON by a plugin) is shown as text."""
    known = find_modality(value)
    if known is None:
        return Shown("text", text=cut(str(value)))
    try:
        return _shorten(known.preview(value))
    except Exception as error:  # noqa: BLE001 - a plugin may raise, or the record may be invalid
        return Shown("text", text=cut(f"the modality {known.name!r} cannot show this: {type(error).__name__}: {error}"))


def to_text(shown: Shown) -> str:
    """Return a preview as text: a line ``name: content`` per part; ``[image]`` for what is not text."""
    if shown.parts:
        return "\n".join(f"{name}: {to_text(part) if isinstance(part, Shown) else part}" for name, part in shown.parts)
    return shown.text if shown.text or shown.kind == "text" else f"[{shown.kind}]"


def _shorten(preview: Shown) -> Shown:
    if not preview.parts and len(preview.text) <= MOST_CHARACTERS:
        return preview
    parts = tuple((name, _shorten(part) if isinstance(part, Shown) else cut(part)) for name, part in preview.parts)
    return replace(preview, text=cut(preview.text), parts=parts)


def cut(text: str) -> str:
    """Shorten a text to the length that a page shows."""
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]} … [{len(text) - MOST_CHARACTERS:,} more characters are in the record]"


def label(value: Any, labels: Sequence[str]) -> str | None:
    """Return the name of a class index; text is returned unchanged."""
    if value is None:
        return None
    return labels[value] if isinstance(value, int) and 0 <= value < len(labels) else str(value)


def answer(record: Record, labels: Sequence[str]) -> str | None:
    """Return the model's answer: a class, or the generated text if the task extracts no answer from it."""
    text = label(record.artifacts.get("prediction", record.artifacts.get("output")), labels)
    return text if text is None else cut(text)


def make_heat_map(probe: str, attribution: Mapping[str, Any], sample: Sample) -> Heat:
    """Return the view of a recorded attribution, scaled by its largest magnitude, and pooled if it has two axes."""
    values = _pool(np.asarray(attribution["values"], dtype=np.float64))
    largest = float(np.abs(values).max()) if values.size else 0.0
    scaled = values / largest if largest else values
    shape = (int(values.shape[0]), int(values.shape[1])) if values.ndim == 2 else None
    spans = tuple((int(a), int(b)) for a, b in attribution["spans"])
    # The last words of a long text are beyond the displayed part.
    num_shown = sum(end <= MOST_CHARACTERS for _, end in spans) if spans else values.size
    kept = tuple(round(float(v), 4) for v in islice(scaled.reshape(-1), num_shown))
    kind, target = str(attribution["parts"]), label(attribution["target"], sample.labels) or ""
    names = () if spans or shape else _name_parts(kind, sample, values.size)
    return Heat(probe, target, kept[: len(names) or None], spans[:num_shown], shape, parts=kind, names=names)


def _name_parts(kind: str, sample: Sample, num: int) -> tuple[str, ...]:
    """Return the names of the first parts by their modality; their indices if it defines none."""
    known = find_modality(sample.input)
    parts: Iterable[object] = range(num)
    if known is not None and known.part_kind == kind:
        try:
            known_parts = list(known.parts(sample.input))
        except Exception:  # noqa: BLE001 - a plugin may raise; the numbers stay valid
            known_parts = []
        parts = known_parts if len(known_parts) == num else parts
    return tuple(cut(str(part)) for part in islice(parts, _MOST_NAMES))


def _pool(values: np.ndarray) -> np.ndarray:
    """Sum an image's attributions over square cells, at most `_MOST_CELLS` per side. Sums preserve completeness."""
    if values.ndim != 2:
        return values
    cell = -(-max(values.shape) // _MOST_CELLS)
    if cell == 1:
        return values
    edges = [np.arange(0, side, cell) for side in values.shape]
    return np.add.reduceat(np.add.reduceat(values, edges[0], axis=0), edges[1], axis=1)
