"""What an item of the plan does with some of its samples: samples to records, by the item's kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from ..api.samples import Record, Sample, SampleRng, seed_of
from ..engine import Engine
from ..engine.continuations import has_continuations
from ..items.attack.records import attack_records, transfer_records
from ..items.probe.answer_classes import AnswerClasses, classes_of
from ..items.probe.language_records import language_records
from ..items.probe.records import probe_records
from ..items.probe.reliance import Carriers, carriers, reliance_records
from ..items.probe.shift import shift_records
from ..items.task.records import drift_records, task_records
from ..plan.types import PlannedItem
from ..scorecard.names import DRIFT_SHARE, HALF_PRECISION
from ..store import Store, StoredItem, codec

Work = Callable[[int, Sequence[Sample]], list[Record]]
"""From the samples, and the place of the first among the task's, to a record each."""


def work_of(engine: Engine, item: PlannedItem, store: Store, seed: int, /) -> Work:
    """``store``: where the records are that this item rests on. ``seed``: the suite's."""
    name, task, rng = item.item, item.task.task, SampleRng(item.seed)

    def records_of(other: PlannedItem | None, start: int, samples: Sequence[Sample]) -> dict[str, Record]:
        if other is None:
            return {}
        return {r.sample_id: r for r in store.records(_stored(store, other), within=(start, start + len(samples)))}

    @cache
    def of_the_whole_set() -> tuple[AnswerClasses, Carriers]:
        assert item.explained is not None
        answers, explained = _stored_task(store, item), _stored(store, item.explained)
        classes = classes_of(task, item.plugin, item.samples, store.records(answers))
        return classes, carriers(classes, zip(item.samples, store.records(explained), store.records(answers), strict=False))

    def work(start: int, samples: Sequence[Sample]) -> list[Record]:
        if item.kind == "task":
            return task_records(engine, name, task, samples)
        if item.kind == "drift":
            took, spent = (store.counters(of).get("tokens_computed", 0) for of in (_stored_task(store, item), _stored(store, item)))
            return drift_records(engine, name, task, samples, DRIFT_SHARE * took - spent, _in_float32(engine, item))
        if item.kind == "attack":
            return attack_records(engine, name, task, item.plugin, item.threat, rng, samples)
        if item.kind == "probe":
            # By the task, not the probe: what a control asks of a sample is asked once for all probes.
            draws = SampleRng(seed_of(seed, item.task.name))
            if has_continuations(task):
                return language_records(engine, name, task, item.plugin, draws, samples, item.scores, seed, item.each_word)
            return probe_records(engine, name, item.plugin, draws, samples, item.scores, seed)
        proposed, explained = (records_of(other, start, samples) for other in (item.source, item.explained))
        if item.kind == "transfer":
            return transfer_records(engine, name, task, samples, proposed)
        if item.kind == "shift":
            return shift_records(engine, name, task, item.plugin, rng, samples, explained, proposed, item.scores, seed)
        answered = {r.sample_id: r for r in store.records(_stored_task(store, item), within=(start, start + len(samples)))}
        return reliance_records(engine, name, task, rng, samples, explained, answered, *of_the_whole_set())

    return work


def _stored(store: Store, item: PlannedItem) -> StoredItem:
    return next(i for i in store.items() if (i.model, i.item) == (item.model.name, item.item))


def _stored_task(store: Store, item: PlannedItem) -> StoredItem:
    """The records of the task itself, on the item's model."""
    return next(i for i in store.items() if (i.model, i.item) == (item.model.name, item.task.name))


def _in_float32(engine: Engine, item: PlannedItem) -> Callable[[], Engine] | None:
    """Loads the model of an item in float32, where it runs in something shorter."""
    loaded: Any = engine.model
    if str(getattr(loaded, "dtype", "")) not in HALF_PRECISION:
        return None
    return lambda: Engine(item.model.source.load(str(loaded.device), "float32"), item.model.info)


def recordable(record: Record, /) -> Record:
    """Scores are finite numbers or None, artifacts what the codec can write; what is not is left out, and the record says so."""
    wrong: list[str] = []
    scores: dict[str, float | None] = {}
    for name, value in record.scores.items():
        try:
            number = None if value is None else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if number is not None and not math.isfinite(number):
            wrong.append(f"the score {name!r} is {str(value)[:40]!r}, not a finite number")
            number = None
        scores[str(name)] = number
    artifacts: Mapping[str, Any] = record.artifacts
    try:
        codec.dumps(artifacts)
    except (TypeError, ValueError, RecursionError) as error:
        wrong.append(f"what the record would keep cannot be written: {error}")
        artifacts = {}
    error_text = record.error if not wrong else "; ".join([record.error, *wrong] if record.error else wrong)
    return Record(record.sample_id, record.item, scores, error_text, artifacts)
