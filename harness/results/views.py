"""Views of samples: prediction, adversarial twins and attributions of one sample, joined by its id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from ..api.samples import Record, Sample
from ..api.scorecard import Heat, SampleView, Twin
from ..items.base.kind import ItemKind
from ..items.base.view import SeenSample, answer, is_right, label, preview_input
from ..store import Store, StoredItem


def make_sample_views(store: Store, items: Sequence[StoredItem], kinds: Mapping[str, ItemKind], most: int) -> Iterator[SampleView]:
    """Yield at most ``most`` views, divided evenly among the tasks of all models.

    Samples that an attack or a probe has processed come first, then the others, each in the order of the data. With more than ``most``
    tasks, the first tasks have one view each.
    """
    tasks = [i for i in items if i.key.is_task]
    for task in tasks[:most]:
        quota = max(1, most // len(tasks))
        joined = [i for i in items if (i.model, i.task) == (task.model, task.task) and i.kind in kinds and kinds[i.kind].is_joined]
        # A run may have a million samples with large attributions: read only those that are shown.
        samples = store.first_samples(task, quota, joined)
        if len(samples) < quota:
            seen = {s.id for s in samples}
            others = (s for s in store.first_samples(task, quota) if s.id not in seen)
            samples += islice(others, quota - len(samples))
        ids = {s.id for s in samples}
        records = {i.id: {r.sample_id: r for r in store.records(i, ids)} for i in (task, *joined)}
        for sample in samples:
            joined_records = [(i, records[i.id][sample.id]) for i in joined if sample.id in records[i.id]]
            yield _make_view(task, sample, records[task.id][sample.id], joined_records, kinds)


def _make_view(
    task: StoredItem, sample: Sample, record: Record, joined: Sequence[tuple[StoredItem, Record]], kinds: Mapping[str, ItemKind]
) -> SampleView:  # fmt: skip
    labels, right = sample.labels, is_right(task, record) if task.facts["primary"] else None
    twins, heats = [], []
    for item, item_record in joined:
        view = kinds[item.kind].view(SeenSample(sample, item, item_record, right, joined))
        if isinstance(view, Twin):
            twins.append(view)
        elif isinstance(view, Heat):
            heats.append(replace(view, slices=_collect_slices(item, right, joined, kinds)) if view.values else view)
    return SampleView(
        model=task.model, task=task.task, id=sample.id, input=preview_input(sample.input), target=label(sample.target, labels),
        prediction=answer(record, labels), correct=right, probabilities=_name_probabilities(record.artifacts, labels),
        scores=dict(record.scores), error=record.error, twins=tuple(twins), heats=tuple(heats),
    )  # fmt: skip


def _collect_slices(
    item: StoredItem, right: bool | None, joined: Sequence[tuple[StoredItem, Record]], kinds: Mapping[str, ItemKind]
) -> dict[str, bool]:  # fmt: skip
    """Tell whether the sample is in each slice of the item and of the items about it; of several, any counts."""
    slices: dict[str, bool] = {}
    for other, record in joined:
        if other is item or item.key in other.key.about:
            for name, is_in in kinds[other.kind].slices(right, record.scores).items():
                slices[name] = slices.get(name, False) or is_in
    return slices


def _name_probabilities(artifacts: Mapping[str, Any], labels: Sequence[str]) -> dict[str, float]:
    """Return the probabilities by class name, or by choice."""
    values = artifacts.get("probabilities") or ()
    candidates = (labels, tuple(artifacts.get("choices") or ()), range(len(values)))
    names = [str(name) for name in next(c for c in candidates if len(c) == len(values))]
    counts = Counter(names)
    return {name if counts[name] == 1 else f"{i}: {name}": float(p) for i, (name, p) in enumerate(zip(names, values, strict=True))}
