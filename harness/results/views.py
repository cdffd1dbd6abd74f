"""Samples made ready to be looked at: prediction, adversarial twin and attribution of one sample, joined by its id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from ..api.samples import Record, Sample
from ..api.scorecard import Heat, SampleView, Twin
from ..items.base.kind import ItemKind
from ..items.base.view import SeenSample, answer, is_right, label, shown
from ..store import Store, StoredItem


def make_sample_views(store: Store, items: Sequence[StoredItem], kinds: Mapping[str, ItemKind], most: int) -> Iterator[SampleView]:
    """At most ``most`` views, shared evenly between the tasks of all models. Within a task the joined samples come first:
    those that an attack or a probe has seen, then the others, each in the order of the data. With more tasks than ``most``, the
    first tasks show one each."""
    tasks = [i for i in items if i.key.is_task]
    for task in tasks[:most]:
        quota = max(1, most // len(tasks))
        joined = [i for i in items if (i.model, i.task) == (task.model, task.task) and i.kind in kinds and kinds[i.kind].is_joined]
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
            yield _view(task, sample, records[task.id][sample.id], found, kinds)


def _view(
    task: StoredItem, sample: Sample, record: Record, joined: Sequence[tuple[StoredItem, Record]], kinds: Mapping[str, ItemKind]
) -> SampleView:  # fmt: skip
    labels, right = sample.labels, is_right(task, record) if task.facts["primary"] else None
    twins, heats = [], []
    for item, own in joined:
        view = kinds[item.kind].view(SeenSample(sample, item, own, right, joined))
        if isinstance(view, Twin):
            twins.append(view)
        elif isinstance(view, Heat):
            heats.append(replace(view, slices=_slices(item, right, joined, kinds)) if view.values else view)
    return SampleView(
        model=task.model, task=task.task, id=sample.id, input=shown(sample.input), target=label(sample.target, labels),
        prediction=answer(record, labels), correct=right, probabilities=_probabilities(record.artifacts, labels),
        scores=dict(record.scores), error=record.error, twins=tuple(twins), heats=tuple(heats),
    )  # fmt: skip


def _slices(
    item: StoredItem, right: bool | None, joined: Sequence[tuple[StoredItem, Record]], kinds: Mapping[str, ItemKind]
) -> dict[str, bool]:  # fmt: skip
    """Whether the sample is in each slice of the item, or of those that are about it; with several of these, by any of them."""
    found: dict[str, bool] = {}
    for other, record in joined:
        if other is item or item.key in other.key.about:
            for name, is_in in kinds[other.kind].slices(right, record.scores).items():
                found[name] = found.get(name, False) or is_in
    return found


def _probabilities(artifacts: Mapping[str, Any], labels: Sequence[str]) -> dict[str, float]:
    """By class name, else by choice."""
    found = artifacts.get("probabilities") or ()
    candidates = (labels, tuple(artifacts.get("choices") or ()), range(len(found)))
    names = [str(name) for name in next(c for c in candidates if len(c) == len(found))]
    counts = Counter(names)
    return {name if counts[name] == 1 else f"{i}: {name}": float(p) for i, (name, p) in enumerate(zip(names, found, strict=True))}
