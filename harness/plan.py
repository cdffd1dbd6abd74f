"""A suite to a work list, without any weights: what would run, how much, and what cannot run and why."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import CapabilityError, ConfigError, DataError, UnknownName, did_you_mean
from .plugins import ModelInfo, ModelSource
from .registry import Registry
from .samples import Sample, seed_of
from .suite import AttackSpec, ModelSpec, ProbeSpec, Suite, TaskSpec
from .threats import Threats


@dataclass(frozen=True, slots=True)
class PlannedModel:
    name: str
    spec: ModelSpec
    source: ModelSource
    info: ModelInfo


@dataclass(slots=True)
class PlannedTask:
    """A task with its samples read: read once, shared by all items that use it."""

    name: str
    spec: TaskSpec
    task: Any
    origin: str
    samples: list[Sample]


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One row of the work list. ``kind``: task, drift, attack or probe. ``num_requests`` is None where the plugin decides as it goes."""

    model: PlannedModel
    item: str
    kind: str
    task: PlannedTask
    samples: Sequence[Sample]
    seed: int
    origin: str
    plugin: Any = None
    threat: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    num_requests: int | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was asked for by default and cannot be, with the reason."""

    model: str
    item: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    suite: Suite
    models: tuple[PlannedModel, ...]
    items: tuple[PlannedItem, ...]
    skipped: tuple[Skipped, ...]


_NUM_DRIFT_SAMPLES = 8
_DRIFT_KINDS = {"classify", "loglikelihood"}


def plan(suite: Suite, registry: Registry) -> Plan:
    """Raises `UserError` for anything that could not run and was asked for by name. Loads data and configurations, no weights."""
    models = [_planned_model(spec, registry) for spec in suite.models]
    tasks = [_planned_task(spec, suite, registry) for spec in suite.tasks]
    items: list[PlannedItem] = []
    skipped: list[Skipped] = []

    for task in tasks:
        chosen, passed = _choose(models, task.task.requires, task.spec.models, f"task {task.name!r}")
        skipped += [Skipped(model.name, task.name, reason) for model, reason in passed]
        for model in chosen:
            check = getattr(task.task, "check", None)
            if check is not None:
                check(model.info)
            _check_labels(model, task)
            items += _task_items(model, task, suite)

    ran = {(i.model.name, i.task.name) for i in items}
    programs: list[AttackSpec | ProbeSpec] = [*suite.attacks, *suite.probes]
    for spec in programs:
        more, passed_over = _plugin_items(spec, models, tasks, ran, suite, registry)
        items += more
        skipped += passed_over

    order = {name: index for index, name in enumerate(m.name for m in models)}
    kinds = {"task": 0, "drift": 1, "attack": 2, "probe": 3}
    items.sort(key=lambda i: (order[i.model.name], kinds[i.kind]))
    twice = [key for key, n in _counted((i.model.name, i.item) for i in items).items() if n > 1]
    if twice:
        raise ConfigError(f"two entries are called {twice[0][1]!r}; tell them apart with 'name:'")
    return Plan(suite, tuple(models), tuple(items), tuple(skipped))


def _planned_model(spec: ModelSpec, registry: Registry) -> PlannedModel:
    source: ModelSource = registry.make("models", spec.kind, target=spec.target, **spec.settings)
    return PlannedModel(spec.name or spec.model, spec, source, source.inspect())


def _planned_task(spec: TaskSpec, suite: Suite, registry: Registry) -> PlannedTask:
    if spec.task.endswith((".yaml", ".yml")):
        entry, settings = registry.get("tasks", "file"), {"path": spec.task, **spec.settings}
    else:
        entry, settings = registry.get("tasks", spec.task), dict(spec.settings)
    task = registry.make("tasks", entry.name, **settings)
    limit = spec.limit or suite.limit
    samples = list(itertools.islice(task.samples(), limit))
    if not samples:
        raise DataError(f"task {spec.name or spec.task!r} has no samples: its data set is empty; point 'data:' at one that is not")
    _check_ids(spec.name or spec.task, samples)
    return PlannedTask(spec.name or spec.task, spec, task, entry.origin, samples)


def _check_ids(name: str, samples: Sequence[Sample]) -> None:
    twice = next((i for i, n in _counted(s.id for s in samples).items() if n > 1), None)
    if twice is not None:
        raise DataError(
            f"task {name!r} has two samples with the id {twice!r}; ids join predictions, twins and attributions and must be unique"
        )


def _counted(values: Iterator[Any]) -> dict[Any, int]:
    counts: dict[Any, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts


def _choose(
    models: Sequence[PlannedModel], requires: frozenset[str], named: Sequence[str] | None, what: str
) -> tuple[list[PlannedModel], list[tuple[PlannedModel, str]]]:
    """The models that can, and those that cannot with the reason. It is an error when one was named and cannot, or none can."""
    if named is not None:
        known = {m.name for m in models}
        for name in named:
            if name not in known:
                raise UnknownName(f"{what} wants the model {name!r}, which the suite does not have.{did_you_mean(name, known)}")
    able, unable = [], []
    for model in models:
        if named is not None and model.name not in named:
            continue
        missing = requires - model.info.capabilities
        if missing:
            unable.append((model, f"needs {_listed(missing)}; the model can {_listed(model.info.capabilities)}"))
        else:
            able.append(model)
    if unable and (named is not None or not able):
        model, reason = unable[0]
        raise CapabilityError(f"{what} cannot run on model {model.name!r}: it {reason}")
    return able, unable


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _check_labels(model: PlannedModel, task: PlannedTask) -> None:
    """Names that don't match are found here, before any weights load."""
    labels = next((s.labels for s in task.samples if s.labels), ())
    if "classify" in task.task.requires and model.info.labels and labels:
        from .models.labels import columns_of

        columns_of(model.info.labels, labels)


def _task_items(model: PlannedModel, task: PlannedTask, suite: Suite) -> list[PlannedItem]:
    num_requests = 0 if not hasattr(task.task, "run") else None
    if num_requests is not None:
        num_requests = sum(_num_requests(task.task, sample) for sample in task.samples)
    made = PlannedItem(
        model, task.name, "task", task, task.samples, seed_of(suite.seed, task.name), task.origin, settings=task.spec.settings,
        num_requests=num_requests,
    )  # fmt: skip
    if not task.task.requires & _DRIFT_KINDS:
        return [made]
    few = task.samples[:_NUM_DRIFT_SAMPLES]
    drift = PlannedItem(
        model, f"batch_invariance({task.name})", "drift", task, few, made.seed, "windtunnel",
        num_requests=2 * sum(_num_requests(task.task, s) for s in few) if num_requests is not None else None,
    )  # fmt: skip
    return [made, drift] if num_requests is not None else [made]


def _num_requests(task: Any, sample: Sample) -> int:
    try:
        return len(task.requests(sample))
    except Exception:  # noqa: BLE001 - a bad sample becomes a record when it is run; here it only makes no requests
        return 0


def _plugin_items(
    spec: AttackSpec | ProbeSpec,
    models: Sequence[PlannedModel],
    tasks: Sequence[PlannedTask],
    ran: set[tuple[str, str]],
    suite: Suite,
    registry: Registry,
) -> tuple[list[PlannedItem], list[Skipped]]:
    """An attack or probe on each task of each model that both sides allow."""
    kind, plugin_name = ("attack", spec.attack) if isinstance(spec, AttackSpec) else ("probe", spec.probe)
    name = spec.name or plugin_name
    entry = registry.get(f"{kind}s", plugin_name)
    plugin = registry.make(f"{kind}s", plugin_name, **spec.settings)
    threat = _threat(spec.threat, plugin) if isinstance(spec, AttackSpec) else None
    known = [t.name for t in tasks]
    for wanted in spec.tasks or ():
        if wanted not in known:
            raise UnknownName(
                f"{kind} {name!r} is to run on the task {wanted!r}, which the suite does not have.{did_you_mean(wanted, known)}"
            )
    items, skipped = [], []
    for task in tasks:
        item = f"{name}({task.name})"
        if spec.tasks is not None and task.name not in spec.tasks:
            continue
        pool = [m for m in models if (m.name, task.name) in ran]
        reason = _unfit(plugin, task)
        if reason is None:
            able, unable = (
                _choose(pool, plugin.requires, spec.models, f"{kind} {name!r}") if spec.tasks or spec.models else _able(pool, plugin)
            )
        elif spec.tasks is not None:
            raise CapabilityError(f"{kind} {name!r} cannot run on task {task.name!r}: {reason}")
        else:
            able, unable = [], [(m, reason) for m in pool]
        skipped += [Skipped(model.name, item, why) for model, why in unable]
        samples = task.samples[: spec.limit]
        items += [
            PlannedItem(m, item, kind, task, samples, seed_of(suite.seed, item), entry.origin, plugin, threat, dict(spec.settings))
            for m in able
        ]
    if not items:
        reasons = "; ".join(dict.fromkeys(s.reason for s in skipped)) or "no task of the suite runs"
        raise CapabilityError(f"{kind} {name!r} can run on nothing in this suite: {reasons}")
    return items, skipped


def _able(pool: Sequence[PlannedModel], plugin: Any) -> tuple[list[PlannedModel], list[tuple[PlannedModel, str]]]:
    able = [m for m in pool if plugin.requires <= m.info.capabilities]
    rest = [(m, f"needs {_listed(plugin.requires - m.info.capabilities)}") for m in pool if m not in able]
    return able, rest


def _unfit(plugin: Any, task: PlannedTask) -> str | None:
    """Why this plugin cannot work on this task, whatever the model; None when it can."""
    if not task.task.primary:
        return "the task has no right and wrong to attack or explain"
    inputs = getattr(plugin, "inputs", None)
    if inputs is not None and not inputs & task.task.requires:
        return f"it works on {_listed(inputs)}; the task is about {_listed(task.task.requires)}"
    missing = plugin.requires - task.task.requires - {"gradients"}
    return f"it works on {_listed(plugin.requires)}; the task is about {_listed(task.task.requires)}" if missing else None


def _threat(given: Mapping[str, Any] | None, attack: Any) -> Any:
    if given is None:
        return attack.threat
    settings = dict(given)
    kind = settings.pop("type", None)
    if kind not in Threats:
        raise ConfigError(f"a threat has a 'type' of {', '.join(Threats)}, not {kind!r}")
    make: Callable[..., Any] = Threats[kind]
    try:
        return make(**settings)
    except TypeError as error:
        raise ConfigError(f"threat {kind!r} cannot be made from {settings}: {error}") from error
