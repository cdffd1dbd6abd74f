"""Runs a plan: samples to records, chunk by chunk, each chunk kept before the next begins. The same command goes on where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from .. import __version__
from . import codec
from .attacking import attack_records
from .engine import Engine
from .engine.cache import AnswerCache, Layers, MemoryCache, SqliteCache
from .engine.packing import Budget
from .errors import IncompleteRun, StoreError
from .judging import drift_records, task_records
from .plan import Plan, PlannedItem, PlannedModel
from .probing import probe_records
from .samples import Record, Sample, SampleRng
from .store import FILE_NAME, Store, StoredItem


class Progress(Protocol):
    """What a run tells of itself while it goes on."""

    def loading(self, model: str) -> None: ...

    def item(self, model: str, item: str, done: int, total: int) -> None: ...

    def advance(self, num_samples: int) -> None: ...

    def batch(self, kind: str, rows: int, tokens: int) -> None: ...


class Silent:
    """No progress shown."""

    def loading(self, model: str) -> None: ...

    def item(self, model: str, item: str, done: int, total: int) -> None: ...

    def advance(self, num_samples: int) -> None: ...

    def batch(self, kind: str, rows: int, tokens: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Chunk:
    number: int
    start: int
    samples: Sequence[Sample]


def run_plan(
    plan: Plan,
    folder: Path,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Do all that has no record yet. Raises `IncompleteRun` when ``should_stop`` said so between two chunks.

    The folder is made when it is not there; records in it are kept and, where they belong to another suite, are an error.
    """
    shown = progress or Silent()
    store = _open(plan, folder)
    try:
        for model in plan.models:
            items = [item for item in plan.items if item.model.name == model.name]
            if items and not _all_done(store, items):
                _run_model(plan, model, items, store, shown, should_stop)
    finally:
        store.close()


def _open(plan: Plan, folder: Path) -> Store:
    path = folder / FILE_NAME
    suite = plan.suite
    skipped = [asdict(s) for s in plan.skipped]
    identity = codec.dumps({"identity": suite.identity(), "skipped": skipped, **suite.model_dump(mode="json")})
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "suite.yaml").write_text(suite.to_yaml(), encoding="utf-8")
        except OSError as error:
            raise StoreError(f"cannot write to {folder} ({error.strerror}); choose another folder with --out") from error
        return Store.create(path, name=suite.name, suite=identity, version=__version__)
    store = Store.open(path)
    if codec.loads(store.suite)["identity"] != suite.identity():
        store.close()
        raise StoreError(f"{folder} holds the run of another suite; it is kept as it is. Choose a new folder with --out")
    return store


def _all_done(store: Store, items: Sequence[PlannedItem]) -> bool:
    """Known without loading the model: every item is stored and has a record a sample."""
    stored = {(i.model, i.item): i for i in store.items()}
    for item in items:
        known = stored.get((item.model.name, item.item))
        if known is None or len(store.finished_chunks(known)) < _num_chunks(known):
            return False
    return True


def _num_chunks(item: StoredItem) -> int:
    return -(-item.num_samples // int(item.facts["chunk"]))


def _run_model(
    plan: Plan, model: PlannedModel, items: Sequence[PlannedItem], store: Store, shown: Progress, should_stop: Callable[[], bool]
) -> None:
    suite = plan.suite
    shown.loading(model.name)
    loaded = model.source.load(suite.device, suite.dtype)
    shared = SqliteCache(Path(suite.cache)) if suite.cache else None
    memory = MemoryCache(behind=store)
    cache: AnswerCache = Layers(memory, shared) if shared else memory
    engine = Engine(loaded, model.info, budget=_budget(suite, loaded), cache=cache, on_batch=shown.batch)
    try:
        for item in items:
            stored = store.add_item(_stored(item, loaded, suite.chunk), item.task.samples)
            done = store.finished_chunks(stored)
            chunks = [c for c in _chunks(item.samples, suite.chunk) if c.number not in done]
            shown.item(model.name, item.item, len(item.samples) - sum(len(c.samples) for c in chunks), len(item.samples))
            for chunk in chunks:
                started = time.perf_counter()
                records = _records(engine, item, chunk.samples)
                store.add_chunk(
                    stored, chunk.number, chunk.start, records,
                    counters=engine.counters.take(), seconds=time.perf_counter() - started, answers=memory.take(),
                )  # fmt: skip
                shown.advance(len(chunk.samples))
                if should_stop():
                    raise IncompleteRun("stopped after the chunk that was under way; all finished chunks are kept")
    finally:
        if shared is not None:
            shared.close()
        close = getattr(loaded, "close", None)
        if close is not None:
            close()


def _chunks(samples: Sequence[Sample], size: int) -> Iterator[Chunk]:
    for number, start in enumerate(range(0, len(samples), size)):
        yield Chunk(number, start, samples[start : start + size])


def _records(engine: Engine, item: PlannedItem, samples: Sequence[Sample]) -> list[Record]:
    task, rng = item.task.task, SampleRng(item.seed)
    if item.kind == "task":
        return task_records(engine, item.item, task, samples)
    if item.kind == "drift":
        return drift_records(engine, item.item, task, samples)
    if item.kind == "attack":
        return attack_records(engine, item.item, task, item.plugin, item.threat, rng, samples)
    return probe_records(engine, item.item, item.plugin, rng, samples)


def _budget(suite: Any, model: Any) -> Budget:
    """Small batches fill a CPU; a GPU wants many rows. Both are a suite's to change under ``batch:``."""
    on_gpu = getattr(getattr(model, "device", None), "type", "cpu") == "cuda"
    tokens, rows = (65_536, 512) if on_gpu else (4_096, 64)
    return Budget(suite.batch.tokens or tokens, suite.batch.rows or rows)


def _stored(item: PlannedItem, model: Any, chunk: int) -> StoredItem:
    """What the scorecard needs to know of an item beside its records."""
    task = item.task.task
    labels = next((s.labels for s in item.task.samples if s.labels), ())
    facts: dict[str, Any] = {
        "chunk": chunk, "labels": labels, "primary": task.primary, "settings": dict(item.settings),
        "metrics": tuple(task.metrics) if item.kind == "task" else (), "model_notes": item.model.info.notes, "model": item.model.spec.model,
        "dtype": str(getattr(model, "dtype", "")), "device": str(getattr(model, "device", "")),
    }  # fmt: skip
    if item.threat is not None:
        facts["threat"] = (
            {"type": type(item.threat).__name__, **asdict(item.threat)}
            if hasattr(item.threat, "__dataclass_fields__")
            else str(item.threat)
        )
    data = getattr(task, "data_fingerprint", None) or codec.digest(item.task.samples)
    return StoredItem(
        0, item.model.name, item.item, item.kind, item.task.name, len(item.samples), model.fingerprint, data, item.origin, item.seed, facts
    )


@contextmanager
def stop_on_interrupt(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks the run to stop after its chunk, the second stops it at once. Yields the question to ask."""
    import signal

    asked = False

    def ask(signum: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        say("stopping after this chunk; press Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
