"""Runs a plan: samples to records, chunk by chunk, each chunk kept before the next begins. The same command goes on where it stopped."""

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
from ..api.registry import origin_of
from ..api.requests import Request
from ..engine import Engine
from ..engine.cache import EarlierAnswers, MemoryCache, SqliteCache
from ..engine.counters import Counters
from ..engine.packing import Budget
from ..engine.saved_budgets import load_saved_budget
from ..identity.libraries import run_versions
from ..items.base.ingredients import ingredients, model_fingerprint
from ..items.base.item_run import ItemRun, make_recordable
from ..items.base.planned_item import PlannedItem, PlannedModel
from ..plan.asked import digest_declaration
from ..plan.types import Plan
from ..store import FILE_NAME, LOCK_NAME, Store, StoredItem, codec, lock_folder
from ..suite.specs import Suite
from ..system.interrupts import Interrupted, is_interrupt
from ..threats import describe_threat
from .progress import Progress
from .role_engines import Players


@dataclass(frozen=True, slots=True)
class Chunk:
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
) -> None:
    """Do all that has no record yet. Raises `IncompleteRun` when ``should_stop`` said so between two chunks.

    The folder is made when it is not there. Records in it are kept. What the suite says something else of than before, or is made of
    other weights, data or code, is run anew; what was there is set aside, and ``say`` is told so first. For that, each model is loaded
    even when all its records are there ('windtunnel report' needs none). A `ConfigError` says where records belong to another suite, to
    other versions of libraries, or to what cannot be known.
    """
    plan.require_possible()
    shown = progress or Progress()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {folder} ({error.strerror}); choose another folder", argument="folder") from error
    with lock_folder(folder):
        store = _open(plan, folder)
        try:
            aside = partial(_set_aside, store, say)
            aside(_describe_known_items(plan.items, suite=plan.suite, store=store))
            rounds = list(_group_by_model(plan))
            _try_later_models(plan, rounds, store, shown)
            with closing(Players(lambda player: loaded(plan, player, shown))) as players:
                for model, items in rounds:
                    _run_model(plan, model, items, players, store, shown, should_stop, aside)
        finally:
            store.close()


def _group_by_model(plan: Plan) -> Iterator[tuple[PlannedModel, list[PlannedItem]]]:
    """Each model with its items. What needs the twins of a later model has to wait: then a model is loaded a second time."""
    place = {model.name: index for index, model in enumerate(plan.models)}

    def waits(item: PlannedItem) -> bool:
        return any(place[base.model.name] > place[item.model.name] for base in item.rests_on)

    for late in (False, True):
        for model in plan.models:
            items = [item for item in plan.items if item.model.name == model.name and waits(item) == late]
            if items:
                yield model, items


def _try_later_models(plan: Plan, rounds: Sequence[tuple[PlannedModel, list[PlannedItem]]], store: Store, shown: Progress) -> None:
    """The first model's probes are tried when its weights are loaded; those of the others before it runs, not hours later."""
    tried = {model.name for model, _ in rounds[:1]}
    for model, items in rounds[1:]:
        waiting = [item for item in _find_unfinished(items, store) if item.kind.has_trial(item)]
        if model.name not in tried and waiting:
            adapter = loaded(plan, model, shown)
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


def _open(plan: Plan, folder: Path) -> Store:
    path = folder / FILE_NAME
    suite = plan.suite
    facts = {
        "identity": suite.identity(),
        "skipped": [asdict(s) for s in plan.skipped],
        "planned": [(i.model.name, i.item, len(i.samples)) for i in plan.items],
        "plugin_files": [origin_of(Path(file)) for file in suite.plugins],
        **suite.model_dump(mode="json"),
    }
    text = codec.dumps(facts)
    if not path.exists():
        strange = sorted(p.name for p in folder.iterdir() if not p.name.startswith((LOCK_NAME, FILE_NAME)))
        if strange:
            raise ConfigError(
                f"{folder} holds {strange[0]!r} and no run; a run writes to a folder of its own: name another", argument="folder"
            )
        store = Store.create(path, name=suite.name, suite=text, version=__version__)
    else:
        store = Store.open(path)
        theirs = {(i.model, i.item) for i in store.items()}
        if theirs and theirs.isdisjoint((i.model.name, i.item) for i in plan.items):
            store.close()
            raise ConfigError(f"{folder} holds the run of another suite; it is kept as it is. Choose a new folder", argument="folder")
        if store.suite != text:
            store.amend(text, __version__)
    _write_copy(folder / "suite.yaml", suite.to_yaml())
    return store


def _write_copy(path: Path, text: str) -> None:
    """The suite to read and to give again. The store holds it too: where the disk is full, this copy is done without."""
    fresh = path.with_name(f"{FILE_NAME}.{path.name}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)


def _describe_known_items(items: Sequence[PlannedItem], *, suite: Suite, store: Store, fingerprint: str | None = None) -> list[StoredItem]:
    """Those of the plan's items that have records, as far as they are known before a role's model loads, and before their
    own where no ``fingerprint`` of it is given."""
    there = {(known.model, known.item): known for known in store.items()}
    found = []
    for item in items:
        known = there.get((item.model.name, item.item))
        if known is not None:
            now = _stored(item, None, suite, store)
            facts = {**now.facts, "roles": known.facts["roles"]}
            found.append(replace(now, model_fingerprint=fingerprint or known.model_fingerprint, facts=facts))
    return found


def _set_aside(store: Store, say: Callable[[str], None], now: Sequence[StoredItem]) -> None:
    """Set aside what is not as it was, and say so: which items, and why."""
    reasons: dict[str, list[str]] = {}
    for item, why in store.set_aside_changed(now):
        reasons.setdefault(why, []).append(f"{item.model}/{item.item}")
    for why, names in reasons.items():
        say(f"run anew: {', '.join(names)}: {why}. The records that were there are kept in {store.path}, set aside")


def loaded(plan: Plan, model: PlannedModel, shown: Progress) -> Model:
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
    should_stop: Callable[[], bool], aside: Callable[[Sequence[StoredItem]], None],
) -> None:  # fmt: skip
    suite = plan.suite
    adapter = loaded(plan, model, shown)
    shared = SqliteCache(Path(suite.cache)) if suite.cache else None
    behind = EarlierAnswers(store, shared)
    memory = MemoryCache(behind=behind)

    def engine_of(planned: PlannedModel, its: Model) -> Engine:
        budget = budgets.get(planned.name) or choose_budget(suite, its)
        known = model_fingerprint(planned, its)
        return Engine(its, planned.info, budget=budget, cache=memory, on_batch=shown.batch, fingerprint=known)

    try:
        aside(_describe_known_items(items, suite=suite, store=store, fingerprint=model_fingerprint(model, adapter)))
        # A run that goes on packs as it began: batches of another size would round otherwise.
        budgets = {i.model: Budget(**i.facts["budget"]) for i in store.items() if i.facts.get("budget")}
        engine = engine_of(model, adapter)
        for item in _find_unfinished(items, store):
            item.kind.try_settings(engine, item)
        for item in items:
            engine.roles = players.engines(item.roles, {model.name: engine}, engine_of)
            now = _stored(item, engine, suite, store)
            aside([now])
            stored = store.add_item(now, item.task.samples)
            done = store.finished_chunks(stored)
            chunks = [c for c in _chunks(item, stored.facts["chunk"]) if c.number not in done]
            run = ItemRun(engine, item, store, suite.seed)
            make_records = item.kind.start(run) if chunks else None
            shown.item(model.name, item.item, len(item.samples) - sum(c.end - c.start for c in chunks), len(item.samples))
            for chunk, following in pairwise([*chunks, None]):
                assert chunk is not None
                assert make_records is not None
                started = time.perf_counter()
                samples = list(item.samples[chunk.start : chunk.end])
                if following is not None and item.kind.knows_requests:
                    engine.expect(partial(_requests, item, following))
                run.start = chunk.start
                records = [make_recordable(record) for record in make_records(samples)]
                behind.check()
                answers = memory.take()
                store.add_chunk(
                    stored, chunk.number, chunk.start, records,
                    counters=_counts(engine), seconds=time.perf_counter() - started,
                    answers=behind.borrowed | answers,
                    matmul_flops_per_s=_measure_matmul(adapter),
                )  # fmt: skip
                behind.borrowed.clear()
                if shared is not None:
                    # Only now: a killed chunk that had left its answers here would find them, and count fewer passes, when it is redone.
                    shared.put(answers)
                shown.advance(len(samples))
                if should_stop():
                    raise IncompleteRun("stopped after the chunk that was under way; all finished chunks are kept")
    finally:
        if shared is not None:
            shared.close()
        adapter.close()


def _counts(engine: Engine) -> dict[str, int]:
    """What a chunk took of the model and of those that played roles, which start again from zero."""
    total = Counters()
    for counters in {id(e.counters): e.counters for e in (engine, *engine.roles.values())}.values():
        total.add(counters)
        counters.take()
    return total.take()


CHUNK_POSITIONS = 32_768
"""A chunk ends with the sample that fills this, or with the suite's ``chunk`` samples: a minute of a small model on a CPU."""


def _chunks(item: PlannedItem, most: int) -> Iterator[Chunk]:
    """By the data and the suite alone, so that a resumed run cuts as the first one did."""
    number = start = positions = 0
    for end in range(1, len(item.samples) + 1):
        positions += item.task.positions[end - 1] * item.kind.effort
        if end - start == most or positions >= CHUNK_POSITIONS or end == len(item.samples):
            yield Chunk(number, start, end)
            number, start, positions = number + 1, end, 0


def _requests(item: PlannedItem, chunk: Chunk) -> Sequence[Request[Any]]:
    return item.kind.requests_ahead(item, list(item.samples[chunk.start : chunk.end]))


def choose_budget(suite: Suite, model: Model) -> Budget:
    """What was measured for the model on this machine, else the device's, but for what the suite says under ``batch:``."""
    given = {name: value for name, value in suite.batch.model_dump().items() if value is not None}
    return replace(load_saved_budget(model) or Budget.of(str(model.device)), **given)


def _measure_matmul(model: Model) -> float:
    """Of the model's device, where the model says what it computes."""
    if not model.flops_per_token or model.device is None or model.dtype is None:
        return 0.0
    from ..models.torch.flops import matmul_flops_per_s

    return matmul_flops_per_s(model.device, model.dtype)


def _stored(item: PlannedItem, engine: Engine | None, suite: Suite, store: Store) -> StoredItem:
    """What the scorecard needs to know of an item beside its records. ``engine``: None before the model is loaded."""
    task = item.task.task
    notes, dtype, device = (engine.model.notes, engine.model.dtype, engine.model.device) if engine is not None else ((), None, None)
    roles = engine.roles if engine is not None else {}
    facts: dict[str, Any] = {
        "chunk": suite.chunk, "asked": digest_declaration(item, suite), "rests_on": _find_base_ids(item, store),
        "identity": ingredients(item), "versions": run_versions(), "labels": item.task.labels, "primary": task.primary,
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
    """The stored items whose records this one is made from."""
    known = (store.current(base.model.name, base.item) for base in item.rests_on)
    return tuple(base.id for base in known if base is not None)


@contextmanager
def stop_on_interrupt(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks the run to stop after its chunk, the second stops it at once. Yields the question to ask."""
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
