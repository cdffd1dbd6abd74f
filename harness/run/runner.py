"""Runs a plan: computes records chunk by chunk, and stores each chunk before the next one. An interrupted run can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from ..api.errors import StoreError
from ..api.registry import Registry
from ..api.scorecard import Scorecard
from ..engine import Engine
from ..items.base.planned_item import PlannedItem, PlannedModel
from ..plan.types import Plan
from ..store import Store, StoredItem, codec, lock_folder
from .baselines import keep_baseline, load_planned_baseline
from .loading import choose_budget, load_model
from .model_run import RunContext, run_model
from .pace import list_works
from .progress import Progress
from .role_engines import Players
from .run_folder import open_store
from .session import RunSession


def run_plan(
    plan: Plan,
    folder: Path,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda sentence: None,
    registry: Registry | None = None,
    first_chunk: int | None = None,
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
    first_chunk: the largest number of samples in the first chunk of an item. A resumed run needs the same number.
    Raises `IncompleteRun` if ``should_stop`` ended the run, and `ConfigError` if the records in the folder belong to another suite, to
    other library versions, or to something that cannot be identified.
    """
    plan.require_possible()
    baseline = load_planned_baseline(plan, registry)
    shown = progress or Progress()
    shown.plan(list_works(plan.items))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {folder} ({error.strerror}); choose another folder", argument="folder") from error
    with lock_folder(folder):
        store = open_store(plan, folder, say)
        try:
            keep_baseline(baseline, plan, folder, registry)
            may_end = _make_early_stop(plan, store, registry, baseline)
            with RunSession(store) as session, closing(Players(lambda player: load_model(plan, player, shown))) as players:
                context = RunContext(plan, store, session, shown, players, should_stop, say, may_end, first_chunk)
                rounds = list(_group_by_model(plan))
                _try_later_models(context, rounds)
                for model, items in rounds:
                    run_model(context, model, items)
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


def _try_later_models(context: RunContext, rounds: Sequence[tuple[PlannedModel, list[PlannedItem]]]) -> None:
    """Check the settings of later models' items before the first model runs, so that errors do not appear hours later."""
    tried = {model.name for model, _ in rounds[:1]}
    for model, items in rounds[1:]:
        waiting = [item for item in context.find_unfinished(items) if item.kind.has_trial(item)]
        if model.name not in tried and waiting:
            with closing(load_model(context.plan, model, context.progress)) as adapter:
                engine = Engine(adapter, model.info, budget=choose_budget(context.plan.suite, adapter))
                for item in waiting:
                    item.kind.try_settings(engine, item)
            tried.add(model.name)


def _make_early_stop(
    plan: Plan, store: Store, registry: Registry | None, baseline: Scorecard | None
) -> Callable[[Store, StoredItem], bool]:  # fmt: skip
    """Return the function that tells whether an item may end before its last sample."""
    if plan.suite.stop is None:
        return lambda store, item: False
    from ..results.item_rows import EarlyStop

    gates = [gate.parse() for gate in plan.suite.gates]
    kinds = {i.kind.name: i.kind for i in plan.items}
    return EarlyStop(registry or Registry(plan.suite.plugins), codec.loads(store.suite), gates, kinds, baseline)
