"""A running item: its engine, its random numbers, and the records of the items that it depends on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...api.samples import Record, Sample, SampleRng
from ...api.task import Task
from ...engine import Engine
from ...store import Store, StoredItem, codec
from .planned_item import PlannedItem

HALF_PRECISION = ("torch.bfloat16", "torch.float16")


@dataclass
class ItemRun:
    """The context in which an item's records are created.

    ``engine``: runs the item's model.
    ``suite_seed``: the seed of the suite; the item's is ``item.seed``.
    ``start``: the index of the chunk's first sample among the item's samples.
    """

    engine: Engine
    item: PlannedItem
    store: Store
    suite_seed: int
    start: int = 0

    @property
    def name(self) -> str:
        """The name of the item."""
        return self.item.item

    @property
    def task(self) -> Task:
        """The task of the item."""
        return self.item.task.task

    @property
    def rng(self) -> SampleRng:
        """The random generators of the samples, seeded by the item."""
        return SampleRng(self.item.seed)

    def stored(self, item: PlannedItem) -> StoredItem:
        """Return the stored item. Raises `KeyError` if it has no records yet."""
        stored = self.store.current(item.model.name, item.item)
        if stored is None:
            raise KeyError(f"{item.model.name}/{item.item} has not run yet")
        return stored

    def records_of(self, item: PlannedItem, samples: Sequence[Sample]) -> dict[str, Record]:
        """Return another item's records of the chunk's samples, by sample id."""
        within = (self.start, self.start + len(samples))
        return {record.sample_id: record for record in self.store.records(self.stored(item), within=within)}

    def all_records_of(self, item: PlannedItem) -> Iterator[Record]:
        """Iterate over all records of another item, in the order of its samples."""
        return self.store.records(self.stored(item))

    def tokens_of(self, item: PlannedItem) -> int:
        """Return the number of tokens that the finished chunks of an item computed."""
        return self.store.counters(self.stored(item)).get("tokens_computed", 0)

    def float32_engine(self) -> Callable[[], Engine] | None:
        """Return a function that loads the model in float32; None if it already runs in float32."""
        model = self.engine.model
        if str(model.dtype) not in HALF_PRECISION:
            return None
        return lambda: Engine(self.item.model.source.load(str(model.device), "float32"), self.item.model.info)


def make_recordable(record: Record, /) -> Record:
    """Return the record with finite or missing scores and serialisable artifacts; its error names dropped values."""
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
        wrong.append(f"the artifacts cannot be stored: {error}")
        artifacts = {}
    error_text = record.error if not wrong else "; ".join([record.error, *wrong] if record.error else wrong)
    return Record(record.sample_id, record.item, scores, error_text, artifacts)
