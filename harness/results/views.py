"""Samples made ready to be looked at: prediction, adversarial twin and attribution of one sample, joined by its id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from ..api.samples import Record, Sample
from ..api.scorecard import EachWord, Heat, SampleView, Shown, Twin
from ..items.probe.slices import is_right, slices_of
from ..modalities.base import modality_of
from ..store import Store, StoredItem

_MOST_CHARACTERS = 20_000
_MOST_WORDS = 64
"""Of an answer whose words are explained one by one: each is a row of values on the page."""
_MOST_CELLS = 32
_MOST_NAMES = 1_000


def sample_views(store: Store, items: Sequence[StoredItem], most: int) -> Iterator[SampleView]:
    """At most ``most`` views, shared evenly between the tasks of all models. Within a task the joined samples come first:
    those that an attack or a probe has seen, then the others, each in the order of the data. With more tasks than ``most``, the
    first tasks show one each."""
    tasks = [i for i in items if i.kind == "task"]
    for task in tasks[:most]:
        quota = max(1, most // len(tasks))
        joined = [i for i in items if i.model == task.model and i.task == task.task and i.kind in ("attack", "transfer", "probe", "shift")]
        # The rest of the run may be a million samples, and the attributions among them images: no more is read than is shown.
        samples = store.first_samples(task, quota, joined)
        if len(samples) < quota:
            seen = {s.id for s in samples}
            others = (s for s in store.first_samples(task, quota) if s.id not in seen)
            samples += islice(others, quota - len(samples))
        ids = {s.id for s in samples}
        records = {i.id: {r.sample_id: r for r in store.records(i, ids)} for i in (task, *joined)}
        for sample in samples:
            found = [(i, records[i.id][sample.id]) for i in joined if sample.id in records[i.id]]
            yield _view(task, sample, records[task.id][sample.id], found)


def _view(task: StoredItem, sample: Sample, record: Record, joined: Sequence[tuple[StoredItem, Record]]) -> SampleView:
    labels = sample.labels
    primary = record.scores.get(task.facts["primary"]) if task.facts["primary"] else None
    return SampleView(
        model=task.model, task=task.task, id=sample.id, input=_shown(sample.input),
        target=_label(sample.target, labels), prediction=_said(record, labels),
        correct=None if primary is None else primary == 1, probabilities=_probabilities(record.artifacts, labels),
        scores=dict(record.scores), error=record.error,
        twins=tuple(_twin(i, r, labels) for i, r in joined if i.kind == "attack" or (i.kind == "transfer" and r.scores)),
        heats=tuple(_heat(i, r, sample, joined, is_right(task, record)) for i, r in joined if i.kind == "probe"),
    )  # fmt: skip


def _slices(right: bool | None, joined: Iterable[tuple[StoredItem, Record]]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for item, record in joined:
        for name, is_in in slices_of(item.kind, right, record.scores).items():
            found[name] = found.get(name, False) or is_in
    return found


def _twin(item: StoredItem, record: Record, labels: Sequence[str]) -> Twin:
    success = record.scores.get("success")
    hidden = {"clean_correct", "robust_correct", "correct_on_twin", "success", "outside_threat"}
    twin = record.artifacts.get("twin")
    return Twin(
        attack=item.program, input=None if twin is None else _shown(twin),
        prediction=_said(record, labels), success=None if success is None else success == 1,
        facts={k: v for k, v in record.scores.items() if k not in hidden}, note=record.error or str(record.artifacts.get("note", "")),
    )  # fmt: skip


def _heat(
    item: StoredItem, record: Record, sample: Sample, joined: Sequence[tuple[StoredItem, Record]], right: bool | None
) -> Heat:  # fmt: skip
    found = record.artifacts.get("attribution")
    if found is None:
        return Heat(item.program, "", (), error=record.error or "no attribution")
    image = record.artifacts.get("image")
    said = str(record.artifacts.get("continuation", "")).strip()
    shifts = [(i, r) for i, r in joined if i.kind == "shift" and i.facts.get("probe") == item.item]
    shown = _map(item.program, found, sample)
    return replace(
        shown,
        target=said or shown.target,
        image="" if image is None else _shown(image).image,
        scores=dict(record.scores),
        twins=tuple(pair for i, r in shifts for pair in _moved(item.program, i, r, sample)),
        slices=_slices(right, [(item, record), *shifts]),
        each_word=_each_word(record.artifacts, len(shown.values), len(found["values"])),
    )


def _each_word(artifacts: Mapping[str, Any], num_shown: int, num_parts: int) -> EachWord | None:
    """The first words of an answer, by the parts of the sample that are shown."""
    found = artifacts.get("each_word")
    if found is None:
        return None
    num = min(len(found["spans"]), _MOST_WORDS)
    values = np.asarray(found["values"], dtype=np.float64)[:num]
    values = np.concatenate([values[:, :num_shown], values[:, num_parts : num_parts + num]], 1)
    largest = np.abs(values).max(1, keepdims=True, initial=0.0)
    scaled = np.round(values / np.where(largest > 0, largest, 1), 4)
    spans = tuple((int(a), int(b)) for a, b in found["spans"][:num])
    return EachWord(_cut(str(artifacts["continuation"])), spans, tuple(map(tuple, scaled.tolist())))


def _moved(probe: str, shift: StoredItem, record: Record, sample: Sample) -> Iterator[tuple[str, Heat]]:
    """The twin's attributions, for the class that was explained before and for its new one."""
    attack = str(shift.facts["attack"]).removesuffix(f"({shift.task})")
    scores = {name: value for name, value in record.scores.items() if name != "flipped"}
    for end in ("", "_of_prediction"):
        if (found := record.artifacts.get(f"attribution{end}")) is not None:
            shown, said = _map(probe, found, sample), str(record.artifacts.get(f"continuation{end}", "")).strip()
            yield attack, replace(shown, target=said or shown.target, scores=scores)
            scores = {}


def _map(probe: str, found: Mapping[str, Any], sample: Sample) -> Heat:
    values = _pooled(np.asarray(found["values"], dtype=np.float64))
    largest = float(np.abs(values).max()) if values.size else 0.0
    scaled = values / largest if largest else values
    shape = (int(values.shape[0]), int(values.shape[1])) if values.ndim == 2 else None
    spans = tuple((int(a), int(b)) for a, b in found["spans"])
    # Words beyond the shown part of a long text have no place to be shown at; they are the last ones.
    num_shown = sum(end <= _MOST_CHARACTERS for _, end in spans) if spans else values.size
    shown = tuple(round(float(v), 4) for v in islice(scaled.reshape(-1), num_shown))
    kind, target = str(found["parts"]), _label(found["target"], sample.labels) or ""
    names = () if spans or shape else _names_of(kind, sample, values.size)
    return Heat(probe, target, shown[: len(names) or None], spans[:num_shown], shape, parts=kind, names=names)


def _names_of(kind: str, sample: Sample, num: int) -> tuple[str, ...]:
    """What the first parts are called, by their modality; where that does not tell, by their numbers."""
    known = modality_of(sample.input)
    parts: Iterable[object] = range(num)
    if known is not None and known.part_kind == kind:
        try:
            own = list(known.parts(sample.input))
        except Exception:  # noqa: BLE001 - a plugin's: the numbers stand
            own = []
        parts = own if len(own) == num else parts
    return tuple(_cut(str(part)) for part in islice(parts, _MOST_NAMES))


def _pooled(values: np.ndarray) -> np.ndarray:
    """An image's attributions summed over square cells, so that no side has more than `_MOST_CELLS`: sums keep completeness."""
    if values.ndim != 2:
        return values
    cell = -(-max(values.shape) // _MOST_CELLS)
    if cell == 1:
        return values
    edges = [np.arange(0, side, cell) for side in values.shape]
    return np.add.reduceat(np.add.reduceat(values, edges[0], axis=0), edges[1], axis=1)


def _said(record: Record, labels: Sequence[str]) -> str | None:
    """What the model made of it: a class, or the text it wrote where the task reads no answer out of that."""
    found = _label(record.artifacts.get("prediction", record.artifacts.get("output")), labels)
    return found if found is None else _cut(found)


def _label(value: Any, labels: Sequence[str]) -> str | None:
    """A class index by its name; text as it is."""
    if value is None:
        return None
    return labels[value] if isinstance(value, int) and 0 <= value < len(labels) else str(value)


def _probabilities(artifacts: Mapping[str, Any], labels: Sequence[str]) -> dict[str, float]:
    """By class name, else by choice."""
    found = artifacts.get("probabilities") or ()
    candidates = (labels, tuple(artifacts.get("choices") or ()), range(len(found)))
    names = [str(name) for name in next(c for c in candidates if len(c) == len(found))]
    counts = Counter(names)
    return {name if counts[name] == 1 else f"{i}: {name}": float(p) for i, (name, p) in enumerate(zip(names, found, strict=True))}


def _shown(value: object) -> Shown:
    """A value without a modality, a plugin's own of which the record has what JSON has, is shown as text."""
    known = modality_of(value)
    if known is None:
        return Shown("text", text=_cut(str(value)))
    try:
        shown = known.preview(value)
        return _shortened(shown)
    except Exception as error:  # noqa: BLE001 - a plugin's, or a record's that is nonsense: the numbers stand
        return Shown("text", text=_cut(f"the modality {known.name!r} cannot show this: {type(error).__name__}: {error}"))


def _shortened(shown: Shown) -> Shown:
    parts = tuple((name, _shortened(part) if isinstance(part, Shown) else _cut(part)) for name, part in shown.parts)
    return replace(shown, text=_cut(shown.text), parts=parts)


def _cut(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]} … [{len(text) - _MOST_CHARACTERS} more characters are in the record]"
