"""Records of transfers: the twins of an attack on one model, scored on another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...api.samples import Record, Sample
from ...api.task import Task
from ...engine import Engine
from ...engine.batching import make_canonical
from ..task.records import Judged, judge


def make_transfer_records(engine: Engine, item: str, task: Task, samples: Sequence[Sample], proposed: Mapping[str, Record]) -> list[Record]:
    """Score the twins that fooled another model on this model, and return one record per sample.

    ``proposed``: the attack's records on the other model, by sample id. The scores ``clean_correct``, ``correct_on_twin`` and ``success``
    (None unless the clean answer is right) exist only for samples whose twin fooled the other model.
    """
    twins = {i: proposed[s.id].artifacts["twin"] for i, s in enumerate(samples) if _is_fooled(proposed.get(s.id))}
    clean = make_canonical(engine, [samples[i] for i in twins])
    before = dict(zip(twins, judge(engine, task, clean), strict=True))
    perturbed = make_canonical(engine, [replace(samples[i], input=twin) for i, twin in twins.items()])
    after = dict(zip(twins, judge(engine, task, perturbed), strict=True))
    return [_make_record(item, task, sample, twins.get(i), before.get(i), after.get(i)) for i, sample in enumerate(samples)]


def _is_fooled(record: Record | None) -> bool:
    return record is not None and record.scores.get("success") == 1 and "twin" in record.artifacts


def _make_record(item: str, task: Task, sample: Sample, twin: Any, before: Judged | None, after: Judged | None) -> Record:
    if before is None or after is None:
        return Record(sample.id, item, {}, artifacts={"note": "the attack has no twin of this sample that fooled the other model"})
    scores: dict[str, float | None] = {}
    for name, judged in (("clean_correct", before), ("correct_on_twin", after)):
        right = judged.scores.get(task.primary) if judged.scores is not None else None
        if right is None:
            return Record(sample.id, item, {}, judged.error or f"the task gave no score {task.primary!r}")
        scores[name] = right
    scores["success"] = float(scores["correct_on_twin"] != 1) if scores["clean_correct"] == 1 else None
    return Record(sample.id, item, scores, artifacts={**(after.artifacts or {}), "twin": twin})
