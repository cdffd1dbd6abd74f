"""Runs the items of one model, chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from functools import partial
from itertools import pairwise

from ..api.errors import IncompleteRun
from ..api.model import Model, Streamed
from ..engine import Engine
from ..engine.counters import Counters
from ..engine.packing import Budget
from ..items.base.ingredients import combine_fingerprint
from ..items.base.item_run import ItemRun, make_recordable
from ..items.base.planned_item import PlannedItem, PlannedModel
from ..plan.types import Plan
from ..store import ChunkTimes, Store, StoredItem
from ..system.stopwatch import read_stopwatch
from .answers import RunAnswers
from .chunks import Chunk, count_available, cut_chunks, list_requests, split_chunks
from .constancy import Constancy
from .described_items import describe_item, describe_known_items, set_aside
from .loading import choose_budget, load_model, measure_matmul
from .progress import Progress
from .role_engines import Players
from .session import RunSession


@dataclass(frozen=True)
class RunContext:
    """What the models of a run share.

    ``store``: receives the records. ``session``: this process's session of the run. ``progress``: receives the events of the run.
    ``players``: the models of roles.
    ``should_stop``: called after each chunk; True ends the run. ``say``: receives a sentence before records are set aside.
    ``may_end``: tells whether an item may end before its last sample.
    ``first_chunk``: the largest number of samples in the first chunk of an item; None for no other limit than that of all chunks.
    """

    plan: Plan
    store: Store
    session: RunSession
    progress: Progress
    players: Players
    should_stop: Callable[[], bool]
    say: Callable[[str], None]
    may_end: Callable[[Store, StoredItem], bool]
    first_chunk: int | None = None

    def set_aside(self, now: Sequence[StoredItem], /) -> None:
        """Set aside the records of items that differ from their descriptions ``now``."""
        set_aside(self.store, self.say, now)

    def find_unfinished(self, items: Sequence[PlannedItem], /) -> list[PlannedItem]:
        """Return the items that have fewer records than samples."""
        num_done = {(stored.model, stored.item): self.store.count(stored) for stored in self.store.items()}
        return [item for item in items if num_done.get((item.model.name, item.item), 0) < len(item.samples)]


def run_model(context: RunContext, model: PlannedModel, items: Sequence[PlannedItem], /) -> None:
    """Load a model, and compute the missing records of its items. Raises `IncompleteRun` if ``should_stop`` ended the run."""
    plan, store = context.plan, context.store
    with closing(load_model(plan, model, context.progress)) as adapter, closing(RunAnswers(store, plan.suite.cache)) as answers:
        _ModelRun(context, model, adapter, answers).run(items)


class _ModelRun:
    """A loaded model and its engine while the model's items run. ``adapter``: the loaded model."""

    def __init__(self, context: RunContext, model: PlannedModel, adapter: Model, answers: RunAnswers) -> None:
        self._context = context
        self._model = model
        self._adapter = adapter
        self._answers = answers

    def run(self, items: Sequence[PlannedItem]) -> None:
        suite, store = self._context.plan.suite, self._context.store
        fingerprint = combine_fingerprint(self._model, self._adapter)
        self._context.set_aside(describe_known_items(items, suite=suite, store=store, fingerprint=fingerprint))
        # A resumed run keeps its batch sizes: other sizes would round differently.
        self._budgets = {i.model: Budget(**i.facts["budget"]) for i in store.items() if i.facts.get("budget")}
        self._engine = self._make_engine(self._model, self._adapter)
        self._constancy = Constancy(self._engine)
        for item in self._context.find_unfinished(items):
            item.kind.try_settings(self._engine, item)
        for item in items:
            self._run_item(item)

    def _make_engine(self, planned: PlannedModel, loaded: Model) -> Engine:
        budget = self._budgets.get(planned.name) or choose_budget(self._context.plan.suite, loaded)
        known = combine_fingerprint(planned, loaded)
        on_batch = self._context.progress.batch
        return Engine(loaded, planned.info, budget=budget, cache=self._answers.of_chunk, on_batch=on_batch, fingerprint=known)

    def _run_item(self, item: PlannedItem) -> None:
        context, store = self._context, self._context.store
        self._engine.roles = context.players.engines(item.roles, {self._model.name: self._engine}, self._make_engine)
        now = describe_item(item, self._engine, context.plan.suite, store)
        context.set_aside([now])
        # The answers of the start are the run's: an engine that is made anew for an item reads them.
        self._role_constancies = [Constancy(e) for e in dict.fromkeys(self._engine.roles.values()) if e is not self._engine]
        stored = store.add_item(now, item.task.samples)
        chunks = self._find_missing(item, stored)
        num_missing = sum(chunk.end - chunk.start for chunk in chunks)
        context.progress.item(self._model.name, item.item, len(item.samples) - num_missing, len(item.samples))
        if chunks:
            self._run_chunks(item, stored, chunks)
        context.progress.finish()

    def _find_missing(self, item: PlannedItem, stored: StoredItem) -> list[Chunk]:
        """Return the chunks without records; none if the item may end."""
        context = self._context
        done = context.store.finished_chunks(stored)
        cut = split_chunks(item, stored.facts["chunk"], stored.facts["looks"], context.first_chunk)
        chunks = [chunk for chunk in cut if chunk.number not in done]
        return [] if context.may_end(context.store, stored) else cut_chunks(chunks, count_available(item, context.store))

    def _run_chunks(self, item: PlannedItem, stored: StoredItem, chunks: Sequence[Chunk]) -> None:
        context, engine = self._context, self._engine
        run = ItemRun(engine, item, context.store, context.plan.suite.seed)
        make_records = item.kind.start(run)
        context.session.note()
        for chunk, following in pairwise([*chunks, None]):
            assert chunk is not None
            started, cpu_started = read_stopwatch(), time.process_time()
            samples = list(item.samples[chunk.start : chunk.end])
            if following is not None and item.kind.knows_requests:
                engine.expect(partial(list_requests, item, following))
            run.start = chunk.start
            for constancy in (self._constancy, *self._role_constancies):
                constancy.start()
            records = [make_recordable(record) for record in make_records(samples)]
            engine.counters.model_changes += self._constancy.has_changed()
            engine.counters.role_changes += sum(constancy.has_changed() for constancy in self._role_constancies)
            with self._answers.take() as answers:
                counters, streamed = _take_counters(engine)
                times = ChunkTimes(
                    read_stopwatch() - started, time.process_time() - cpu_started, measure_matmul(self._adapter), *astuple(streamed)
                )  # fmt: skip
                context.store.add_chunk(
                    stored, chunk.number, chunk.start, records, counters=counters, times=times, answers=answers
                )  # fmt: skip
            context.progress.advance(len(samples))
            if context.may_end(context.store, stored):
                break
            if context.should_stop():
                raise IncompleteRun("stopped after the current chunk; all finished chunks are kept")


def _take_counters(engine: Engine) -> tuple[dict[str, float], Streamed]:
    """Return the counters of a chunk and its streamed answers, summed over the model and the models in roles, and reset them."""
    total, streamed = Counters(), Streamed()
    for each in {id(e.counters): e for e in (engine, *engine.roles.values())}.values():
        total.add(each.counters)
        each.counters.take()
        streamed.add(each.streamed)
        each.streamed = Streamed()
    return total.take(), streamed
