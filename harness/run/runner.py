"""Runs a plan: computes records chunk by chunk, and stores each chunk before the next one. An interrupted run can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from ... import __version__
from ..api.bases import with_defaults
from ..api.errors import ConfigError, IncompleteRun, ModelError, StoreError, WindtunnelError
from ..api.model import Model
from ..api.registry import Registry, describe_origin
from ..api.requests import Request, Response
from ..engine import Engine
from ..engine.cache import EarlierAnswers, MemoryCache, SqliteCache
from ..engine.counters import Counters
from ..engine.packing import Budget
from ..engine.saved_budgets import load_saved_budget
from ..identity.libraries import run_versions
from ..items.base.ingredients import combine_fingerprint, digest_ingredients
from ..items.base.item_run import ItemRun, make_recordable
from ..items.base.planned_item import PlannedItem, PlannedModel
from ..plan.asked import digest_declaration
from ..plan.shares import share_work
from ..plan.types import Plan
from ..store import FILE_NAME, LOCK_NAME, Store, StoredItem, codec, lock_folder
from ..suite.specs import Suite
from ..system.interrupts import Interrupted, is_interrupt
from ..threats import describe_threat
from .progress import Progress
from .role_engines import Players


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range of an item's samples. ``start``: the first index. ``end``: the index after the last."""

    number: int
    start: int
    end: int


def run_plan(
    plan: Plan,
    folder: Path,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda sentence: None,
    registry: Registry | None = None,
) -> None:
    """Run all items of a plan that have no records yet.

    An item is run again if its entry in the suite, its weights, data or code have changed: its old records are set aside. Each model is
    therefore loaded even if all its records exist ('windtunnel report' loads none).

    plan: the work.
    folder: the run folder, which is created if needed. Existing records are kept.
    progress: receives the events of the run.
    should_stop: called after each chunk; True ends the run.
    say: receives a sentence before records are set aside.
    registry: the metrics that decide gates, for ``stop: decided``; by default those of the suite's plugins.
    Raises `IncompleteRun` if ``should_stop`` ended the run, and `ConfigError` if the records in the folder belong to another suite, to
    other library versions, or to something that cannot be identified.
    """
    plan.require_possible()
    shown = progress or Progress()
    shown.plan(share_work(plan.items))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {folder} ({error.strerror}); choose another folder", argument="folder") from error
    with lock_folder(folder):
        store = _open_store(plan, folder)
        try:
            _keep_baseline(plan, folder, registry)
            aside = partial(_set_aside, store, say)
            aside(_describe_known_items(plan.items, suite=plan.suite, store=store))
            early_stop = _make_early_stop(plan, store, registry)
            rounds = list(_group_by_model(plan))
            _try_later_models(plan, rounds, store, shown)
            with closing(Players(lambda player: load_model(plan, player, shown))) as players:
                for model, items in rounds:
                    _run_model(plan, model, items, players, store, shown, should_stop, aside, early_stop)
        finally:
            store.close()


def _group_by_model(plan: Plan) -> Iterator[tuple[PlannedModel, list[PlannedItem]]]:
    """Yield each model with its items. Items that need the twins of a later model follow in a second round, which reloads the model."""
    place = {model.name: index for index, model in enumerate(plan.models)}

    def waits(item: PlannedItem) -> bool:
        return any(place[base.model.name] > place[item.model.name] for base in item.rests_on)

    for late in (False, True):
        for model in plan.models:
            items = [item for item in plan.items if item.model.name == model.name and waits(item) == late]
            if items:
                yield model, items


def _try_later_models(plan: Plan, rounds: Sequence[tuple[PlannedModel, list[PlannedItem]]], store: Store, shown: Progress) -> None:
    """Check the settings of later models' items before the first model runs, so that errors do not appear hours later."""
    tried = {model.name for model, _ in rounds[:1]}
    for model, items in rounds[1:]:
        waiting = [item for item in _find_unfinished(items, store) if item.kind.has_trial(item)]
        if model.name not in tried and waiting:
            adapter = load_model(plan, model, shown)
            try:
                engine = Engine(adapter, model.info, budget=choose_budget(plan.suite, adapter))
                for item in waiting:
                    item.kind.try_settings(engine, item)
            finally:
                adapter.close()
            tried.add(model.name)


def _find_unfinished(items: Sequence[PlannedItem], store: Store) -> list[PlannedItem]:
    num_done = {(stored.model, stored.item): store.count(stored) for stored in store.items()}
    return [item for item in items if num_done.get((item.model.name, item.item), 0) < len(item.samples)]


def _open_store(plan: Plan, folder: Path) -> Store:
    path = folder / FILE_NAME
    suite = plan.suite
    facts = {
        "identity": suite.identity(),
        "skipped": [asdict(s) for s in plan.skipped],
        "planned": [(i.model.name, i.item, len(i.samples)) for i in plan.items],
        "plugin_files": [describe_origin(Path(file)) for file in suite.plugins],
        **suite.model_dump(mode="json"),
    }
    text = codec.dumps(facts)
    if not path.exists():
        strange = sorted(p.name for p in folder.iterdir() if not p.name.startswith((LOCK_NAME, FILE_NAME)))
        if strange:
            raise ConfigError(f"{folder} contains {strange[0]!r} and no run; choose an empty or a new folder", argument="folder")
        store = Store.create(path, name=suite.name, suite=text, version=__version__)
    else:
        store = Store.open(path)
        theirs = {(i.model, i.item) for i in store.items()}
        if theirs and theirs.isdisjoint((i.model.name, i.item) for i in plan.items):
            store.close()
            raise ConfigError(f"{folder} contains the run of another suite, which stays unchanged; choose a new folder", argument="folder")
        if store.suite != text:
            store.amend(text, __version__)
    _write_copy(folder / "suite.yaml", suite.to_yaml())
    return store


def _write_copy(path: Path, text: str) -> None:
    """Write a readable copy of the suite. The store contains the suite as well, so that an error, such as a full disk, is ignored."""
    fresh = path.with_name(f"{FILE_NAME}.{path.name}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)


def _describe_known_items(items: Sequence[PlannedItem], *, suite: Suite, store: Store, fingerprint: str | None = None) -> list[StoredItem]:
    """Describe the items that have records, as far as possible before the models of roles load.

    ``fingerprint``: that of the items' own model; None before it loads.
    """
    recorded = {(known.model, known.item): known for known in store.items()}
    described = []
    for item in items:
        known = recorded.get((item.model.name, item.item))
        if known is not None:
            now = _describe_item(item, None, suite, store)
            facts = {**now.facts, "roles": known.facts["roles"]}
            described.append(replace(now, model_fingerprint=fingerprint or known.model_fingerprint, facts=facts))
    return described


def _set_aside(store: Store, say: Callable[[str], None], now: Sequence[StoredItem]) -> None:
    """Set aside the records of changed items, and report the items and the reasons."""
    reasons: dict[str, list[str]] = {}
    for item, why in store.set_aside_changed(now):
        reasons.setdefault(why, []).append(f"{item.model}/{item.item}")
    for why, names in reasons.items():
        say(f"run again: {', '.join(names)}: {why}. The old records are set aside in {store.path}")


def load_model(plan: Plan, model: PlannedModel, shown: Progress) -> Model:
    """Load a planned model. Raises `ModelError` if its plugin raises."""
    shown.loading(model.name)
    try:
        return with_defaults(model.source.load(plan.suite.device, plan.suite.dtype), Model)
    except WindtunnelError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ModelError(f"model {model.name!r} cannot be loaded: {type(error).__name__}: {error}") from error


def _run_model(
    plan: Plan, model: PlannedModel, items: Sequence[PlannedItem], players: Players, store: Store, shown: Progress,
    should_stop: Callable[[], bool], aside: Callable[[Sequence[StoredItem]], None], early_stop: Callable[[Store, StoredItem], bool],
) -> None:  # fmt: skip
    suite = plan.suite
    adapter = load_model(plan, model, shown)
    shared = SqliteCache(Path(suite.cache)) if suite.cache else None
    behind = EarlierAnswers(store, shared)
    memory = MemoryCache(behind=behind)

    def engine_of(planned: PlannedModel, its: Model) -> Engine:
        budget = budgets.get(planned.name) or choose_budget(suite, its)
        known = combine_fingerprint(planned, its)
        return Engine(its, planned.info, budget=budget, cache=memory, on_batch=shown.batch, fingerprint=known)

    try:
        aside(_describe_known_items(items, suite=suite, store=store, fingerprint=combine_fingerprint(model, adapter)))
        # A resumed run keeps its batch sizes: other sizes would round differently.
        budgets = {i.model: Budget(**i.facts["budget"]) for i in store.items() if i.facts.get("budget")}
        engine = engine_of(model, adapter)
        for item in _find_unfinished(items, store):
            item.kind.try_settings(engine, item)
        for item in items:
            engine.roles = players.engines(item.roles, {model.name: engine}, engine_of)
            now = _describe_item(item, engine, suite, store)
            aside([now])
            stored = store.add_item(now, item.task.samples)
            done = store.finished_chunks(stored)
            chunks = [c for c in _split_chunks(item, stored.facts["chunk"]) if c.number not in done]
            chunks = [] if early_stop(store, stored) else _cut_chunks(chunks, _count_available(item, store))
            run = ItemRun(engine, item, store, suite.seed)
            make_records = item.kind.start(run) if chunks else None
            shown.item(model.name, item.item, len(item.samples) - sum(c.end - c.start for c in chunks), len(item.samples))
            for chunk, following in pairwise([*chunks, None]):
                assert chunk is not None
                assert make_records is not None
                started = time.perf_counter()
                samples = list(item.samples[chunk.start : chunk.end])
                if following is not None and item.kind.knows_requests:
                    engine.expect(partial(_list_requests, item, following))
                run.start = chunk.start
                records = [make_recordable(record) for record in make_records(samples)]
                behind.check()
                answers = memory.take()
                store.add_chunk(
                    stored, chunk.number, chunk.start, records,
                    counters=_take_counters(engine), seconds=time.perf_counter() - started,
                    answers=behind.borrowed | answers,
                    matmul_flops_per_s=_measure_matmul(adapter),
                )  # fmt: skip
                behind.borrowed.clear()
                if shared is not None:
                    # Only after the chunk is stored: a killed and repeated chunk would find its answers and count too few passes.
                    shared.put(answers)
                shown.advance(len(samples))
                if early_stop(store, stored):
                    break
                if should_stop():
                    raise IncompleteRun("stopped after the current chunk; all finished chunks are kept")
            shown.finish()
    finally:
        if shared is not None:
            shared.close()
        adapter.close()


def _keep_baseline(plan: Plan, folder: Path, registry: Registry | None) -> None:
    """Copy the suite's baseline into the run folder. Raises `ConfigError` if it cannot be read."""
    from ..results.baseline import keep_baseline

    known = registry or (Registry(plan.suite.plugins) if plan.suite.baseline else None)
    keep_baseline(Path(plan.suite.baseline) if plan.suite.baseline else None, folder, known)


def _make_early_stop(plan: Plan, store: Store, registry: Registry | None) -> Callable[[Store, StoredItem], bool]:
    """Return the function that tells whether an item may end before its last sample."""
    if plan.suite.stop is None:
        return lambda store, item: False
    from ..results.item_rows import EarlyStop

    gates = [gate.parse() for gate in plan.suite.gates]
    return EarlyStop(registry or Registry(plan.suite.plugins), codec.loads(store.suite), gates, {i.kind.name: i.kind for i in plan.items})


def _count_available(item: PlannedItem, store: Store) -> int:
    """Return the number of samples for which all items that this one reads have records: fewer than planned if one ended early."""
    bases = [base for i in item.rests_on if (base := store.current(i.model.name, i.item)) is not None]
    return min([len(item.samples), *(num for base in bases if (num := store.count(base)) < base.num_samples)])


def _cut_chunks(chunks: Sequence[Chunk], most: int) -> list[Chunk]:
    """Return the chunks without the samples from index ``most``."""
    return [replace(chunk, end=min(chunk.end, most)) for chunk in chunks if chunk.start < most]


def _take_counters(engine: Engine) -> dict[str, int]:
    """Return the counters of a chunk, summed over the model and the models in roles, and reset them."""
    total = Counters()
    for counters in {id(e.counters): e.counters for e in (engine, *engine.roles.values())}.values():
        total.add(counters)
        counters.take()
    return total.take()


CHUNK_POSITIONS = 32_768
"""The positions in a chunk: about a minute of a small model on a CPU. The suite's ``chunk`` limits its samples."""


def _split_chunks(item: PlannedItem, most: int) -> Iterator[Chunk]:
    """Split an item into chunks. They depend only on the data and the suite, so that a resumed run has the same chunks."""
    number = start = positions = 0
    for end in range(1, len(item.samples) + 1):
        positions += item.task.positions[end - 1] * item.kind.effort
        if end - start == most or positions >= CHUNK_POSITIONS or end == len(item.samples):
            yield Chunk(number, start, end)
            number, start, positions = number + 1, end, 0


def _list_requests(item: PlannedItem, chunk: Chunk) -> Sequence[Request[Response]]:
    return item.kind.requests_ahead(item, list(item.samples[chunk.start : chunk.end]))


def choose_budget(suite: Suite, model: Model) -> Budget:
    """Return a model's budget: the suite's ``batch:``, then the tuned budget of this machine, then the device's default."""
    settings = {name: value for name, value in suite.batch.model_dump().items() if value is not None}
    return replace(load_saved_budget(model) or Budget.of(str(model.device)), **settings)


def _measure_matmul(model: Model) -> float:
    """Measure the matrix-product speed of the model's device, in FLOP/s; 0 if the model does not count its operations."""
    if not model.flops_per_token or model.device is None or model.dtype is None:
        return 0.0
    from ..models.torch.flops import measure_flops_per_s

    return measure_flops_per_s(model.device, model.dtype)


def _describe_item(item: PlannedItem, engine: Engine | None, suite: Suite, store: Store) -> StoredItem:
    """Describe an item for the store: everything that the scorecard needs besides its records. ``engine``: None before loading."""
    task = item.task.task
    notes, dtype, device = (engine.model.notes, engine.model.dtype, engine.model.device) if engine is not None else ((), None, None)
    roles = engine.roles if engine is not None else {}
    facts: dict[str, Any] = {
        "chunk": suite.chunk, "asked": digest_declaration(item, suite), "rests_on": _find_base_ids(item, store),
        "identity": digest_ingredients(item), "versions": run_versions(), "labels": item.task.labels, "primary": task.primary,
        "dimension": task.dimension, "settings": dict(item.settings),
        "scores": item.scores,
        "model_notes": (*item.model.info.notes, *notes), "model": item.model.spec.model,
        "dtype": str(dtype or ""), "device": str(device or ""),
        "budget": asdict(engine.budget) if engine is not None else {},
        "roles": {role: {"model": item.roles[role].name, "fingerprint": player.fingerprint} for role, player in roles.items()},
    }  # fmt: skip
    facts |= item.kind.facts(item)
    if item.plugin is not None and item.plugin.caution:
        facts["caution"] = item.plugin.caution
    if item.threat is not None:
        facts["threat"] = describe_threat(item.threat)
    return StoredItem(
        0, item.model.name, item.key, len(item.samples), engine.fingerprint if engine is not None else "",
        item.task.data_fingerprint, item.origin, item.seed, facts,
    )  # fmt: skip


def _find_base_ids(item: PlannedItem, store: Store) -> tuple[int, ...]:
    """Return the ids of the stored items that the item depends on."""
    known = (store.current(base.model.name, base.item) for base in item.rests_on)
    return tuple(base.id for base in known if base is not None)


@contextmanager
def stop_on_interrupt(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Yield ``should_stop`` for `run_plan`: the first Ctrl-C stops the run after the current chunk, the second at once."""
    import signal

    asked = False

    def ask(signum: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise Interrupted
        asked = True
        say("stopping after this chunk; press Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
