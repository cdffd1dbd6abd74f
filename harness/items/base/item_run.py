"""An item while it runs: its engine, its random numbers, and the records of the items that it rests on."""

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
    """What the records of an item are made with.

    ``engine``: runs the item's model. ``suite_seed``: the seed of the suite; ``item.seed`` is the item's own. ``start``: the place of the
    chunk's first sample among the item's samples.
    """

    engine: Engine
    item: PlannedItem
    store: Store
    suite_seed: int
    start: int = 0

    @property
    def name(self) -> str:
        return self.item.item

    @property
    def task(self) -> Task:
        return self.item.task.task

    @property
    def rng(self) -> SampleRng:
        """Random numbers for each sample, by the item's seed."""
        return SampleRng(self.item.seed)

    def stored(self, item: PlannedItem) -> StoredItem:
        """The item as the store has it. Raises `KeyError` where it has no records yet."""
        found = self.store.current(item.model.name, item.item)
        if found is None:
            raise KeyError(f"{item.model.name}/{item.item} has not run yet")
        return found

    def records_of(self, item: PlannedItem, samples: Sequence[Sample]) -> dict[str, Record]:
        """The records of another item about the chunk's samples, by sample id."""
        within = (self.start, self.start + len(samples))
        return {record.sample_id: record for record in self.store.records(self.stored(item), within=within)}

    def all_records_of(self, item: PlannedItem) -> Iterator[Record]:
        """The records of another item about all its samples, in their order."""
        return self.store.records(self.stored(item))

    def tokens_of(self, item: PlannedItem) -> int:
        """How many tokens the recorded chunks of an item took."""
        return self.store.counters(self.stored(item)).get("tokens_computed", 0)

    def float32_engine(self) -> Callable[[], Engine] | None:
        """Loads the model in float32; None where it runs in float32 already."""
        model = self.engine.model
        if str(model.dtype) not in HALF_PRECISION:
            return None
        return lambda: Engine(self.item.model.source.load(str(model.device), "float32"), self.item.model.info)


def make_recordable(record: Record, /) -> Record:
    """Scores as finite numbers or None, artifacts as the codec can write them; what is neither is left out, and the error says so."""
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
