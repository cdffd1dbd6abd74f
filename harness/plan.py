"""A suite to a work list, without any weights: what would run, how much, and what cannot run and why."""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from .errors import CapabilityError, ConfigError, DataError, ModelError, UserError, is_interrupt, sentence
from .gates import Gate
from .identity.ingredients import sample_digest
from .inputs import CHARACTERS, size_of
from .matching import able_models, asks_model, check_named, choose, unfit
from .metrics.foreign import check_foreign
from .planned import Load, Plan, PlannedItem, PlannedModel, PlannedTask, Skipped
from .plugins import ModelSource
from .registry import Registry, parameters
from .repetition import probe_seed, reliances, repeated, reseeded, shifts, transfers, worst_cases
from .resources import missing_resources, with_folder
from .roles import cast
from .rows.row_names import AGREEMENT, ROWS, accuracy_within
from .samples import Sample, seed_of
from .spool import Spool
from .suite import AttackSpec, ModelSpec, ProbeSpec, Suite, TaskSpec, task_name
from .threats import threat_of

_NUM_DRIFT_SAMPLES = 8
_IDS_SHOWN = 8
_DRIFT_KINDS = {"classify", "loglikelihood", "pseudo_loglikelihood"}
_CONTRACT = {"tasks": ("requires", "metrics", "primary", "samples", "score"), "attacks": ("requires", "perturb"),
             "probes": ("requires", "attribute"), "models": ("inspect", "load")}  # fmt: skip
T = TypeVar("T")


def plan(suite: Suite, registry: Registry) -> Plan:
    """Raises `UserError` for names, settings and data that cannot be. Loads data and configurations, no weights."""
    for index, name in enumerate(suite.reports):
        with _placed(suite, "reports", index):
            registry.get("reports", name)
    models, auxiliary = (_planned_models(suite, key, registry) for key in ("models", "auxiliary_models"))
    tasks = []
    for index, task_spec in enumerate(suite.tasks):
        with _placed(suite, "tasks", index):
            tasks.append(_planned_task(task_spec, suite, registry))
            if tasks[-1].name in {task.name for task in tasks[:-1]}:
                raise ConfigError(f"two tasks are called {tasks[-1].name!r}; tell them apart with 'name:'")
    items: list[PlannedItem] = []
    skipped: list[Skipped] = []
    impossible: list[str] = []

    for index, task in enumerate(tasks):
        with _gathered(impossible), _placed(suite, "tasks", index):
            chosen, passed = choose(models, task.task.requires, task.spec.models, f"task {task.name!r}")
            skipped += [Skipped(model.name, task.name, reason) for model, reason in passed]
            roles = cast(task.spec.roles, [task.task], [*models, *auxiliary], f"task {task.name!r}")
            for model in chosen:
                _check_labels(model, task)
                items += _task_items(model, task, suite, roles)

    ran = {(i.model.name, i.task.name) for i in items}
    programs = [("attacks", *pair) for pair in enumerate(suite.attacks)] + [("probes", *pair) for pair in enumerate(suite.probes)]
    for key, index, spec in programs:
        with _gathered(impossible), _placed(suite, key, index):
            more, passed_over = _plugin_items(spec, models, auxiliary, tasks, ran, suite, registry)
            items += more
            skipped += passed_over

    order = {name: index for index, name in enumerate(m.name for m in models)}
    items += [*shifts(items, suite.seed), *reliances(items, suite.seed)]
    kinds = {"task": 0, "drift": 1, "attack": 2, "probe": 3, "transfer": 4, "shift": 5, "reliance": 6}
    items.sort(key=lambda i: (order[i.model.name], kinds[i.kind]))
    twice = [key for key, n in Counter((i.model.name, i.item) for i in items).items() if n > 1]
    if twice:
        raise ConfigError(f"two entries are called {twice[0][1]!r}; tell them apart with 'name:'")
    for index, gate in enumerate(suite.gates):
        with _placed(suite, "gates", index):
            parsed = Gate.parse(gate.check)
            if not impossible:
                _check_gate(parsed, [*items, *worst_cases(items)], registry)
    return Plan(suite, tuple(models), tuple(auxiliary), tuple(items), tuple(skipped), tuple(impossible))


@contextmanager
def _gathered(impossible: list[str]) -> Iterator[None]:
    """What no model can do is gathered, so that the user reads all of it at once."""
    try:
        yield
    except CapabilityError as error:
        impossible.append(str(error))


@contextmanager
def _placed(suite: Suite, *path: str | int) -> Iterator[None]:
    """An error about this entry begins with its file and line."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{suite.place(*path, about=str(error))}{error}") from error


def _asked(what: str, work: Callable[[], T], kind: type[UserError]) -> T:
    """What a plugin says before the run. Its own exceptions become the user's to read, not a traceback."""
    try:
        return work()
    except UserError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise kind(f"{what}: {type(error).__name__}: {error}") from error


def _made(group: str, name: str, registry: Registry, /, **settings: Any) -> Any:
    """The plugin, which has what the harness will use of it."""
    made = registry.make(group, name, **settings)
    lacks = [part for part in _CONTRACT[group] if not hasattr(made, part)]
    if group == "tasks" and not (hasattr(made, "requests") or hasattr(made, "run")):
        lacks.append("requests")
    if lacks:
        raise ConfigError(f"the {group[:-1]} {name!r} has no {lacks[0]!r}; windtunnel.harness.plugins says what a plugin needs")
    if group != "models" and not isinstance(made.requires, frozenset | set):
        raise ConfigError(f"the {group[:-1]} {name!r}: requires is a frozenset of capabilities, not {made.requires!r}")
    return made


def _planned_models(suite: Suite, key: str, registry: Registry) -> list[PlannedModel]:
    models = []
    for index, spec in enumerate(getattr(suite, key)):
        with _placed(suite, key, index):
            models.append(_planned_model(spec, registry))
    return models


def _planned_model(spec: ModelSpec, registry: Registry) -> PlannedModel:
    if "target" in spec.settings:
        raise ConfigError(f"model {spec.model!r}: 'target' is no setting; it stands after the kind: 'model: {spec.kind}:TARGET'")
    source: ModelSource = _made("models", spec.kind, registry, target=spec.target, **spec.settings)
    info = _asked(f"model {spec.model!r} cannot be inspected", source.inspect, ModelError)
    return PlannedModel(spec.name or spec.model, spec, source, info)


def _planned_task(spec: TaskSpec, suite: Suite, registry: Registry) -> PlannedTask:
    if spec.task.endswith((".yaml", ".yml")):
        if "path" in spec.settings:
            raise ConfigError(f"task {spec.task!r}: 'path' is no setting; the file is named by 'task:'")
        entry, settings = registry.get("tasks", "file"), {"path": spec.task, **spec.settings}
    else:
        entry, settings = registry.get("tasks", spec.task), dict(spec.settings)
    task = _made("tasks", entry.name, registry, **settings)
    name = spec.name or str(getattr(task, "named_by_settings", "")) or task_name(spec)
    metrics = {metric: registry.get("metrics", metric).origin for metric in task.metrics}
    check_foreign(metrics, registry)
    limit = spec.limit or suite.limit
    given = _asked(f"task {name!r} cannot give its samples", lambda: Spool.of(itertools.islice(task.samples(), limit)), DataError)
    if not given:
        raise DataError(f"task {name!r} has no samples: its data set is empty; point 'data:' at one that is not")
    return replace(_measured(name, spec, task, entry.origin, given), metric_code=metrics)


def _measured(name: str, spec: TaskSpec, task: Any, origin: str, samples: Spool[Sample]) -> PlannedTask:
    """The planned task, from one pass over its samples, of which a few numbers each stay in memory."""
    labels: tuple[str, ...] = ()
    parts: dict[str, dict[str, int]] = {}
    num_unusable, first_reason = 0, ""
    hashes, positions = array("q"), array("q")
    num_requests: int | None = 0
    are_writable, beginning = True, ""
    content = hashlib.sha256()
    for sample in samples:
        content.update(sample_digest(name, sample))
        are_writable &= sample.id.isascii()
        labels = labels or sample.labels
        hashes.append(hash(sample.id))
        load, beginning = _load(task, sample, beginning)
        positions.append(load.positions)
        if load.error:
            num_unusable, first_reason = num_unusable + 1, first_reason or load.error
        for kind, part in _parts(sample):
            counts = parts.setdefault(kind, {})
            counts[part] = counts.get(part, 0) + 1
        num_requests = None if num_requests is None or load.num_requests is None else num_requests + load.num_requests
    if not are_writable:
        samples = Spool.of(s if s.id.isascii() else replace(s, id=_writable(s.id)) for s in samples)
        hashes = array("q", (hash(sample.id) for sample in samples))
    if len(np.unique(hashes)) < len(hashes):
        _check_ids(name, samples)
    notes = _said_of_data(task, "notes", name, len(samples))
    cautions = _said_of_data(task, "cautions", name, len(samples), parts)
    if num_unusable:
        notes = (f"{num_unusable:,} of {len(samples):,} samples cannot be used; the first: {first_reason}", *notes)
    numbers = (positions, num_requests, num_unusable)
    return PlannedTask(name, spec, task, origin, samples, labels, *numbers, notes, cautions, content.hexdigest())


def _said_of_data(task: Any, what: str, name: str, *facts: Any) -> tuple[str, ...]:
    """A task's ``notes`` or ``cautions``, where it has any."""
    say = getattr(task, what, None)
    return tuple(_asked(f"task {name!r} cannot give its {what}", partial(say, *facts), DataError)) if say else ()


def _parts(sample: Sample) -> Iterator[tuple[str, str]]:
    """The class and the slice that a sample is of."""
    if isinstance(sample.target, int) and 0 <= sample.target < len(sample.labels):
        yield "class", sample.labels[sample.target]
    if "slice" in sample.metadata:
        yield "slice", str(sample.metadata["slice"])


def _writable(sample_id: str) -> str:
    """Ids are keys in the store and join everything: a lone surrogate, which UTF-8 has no bytes for, is written as its escape."""
    return sample_id.encode("utf-8", "backslashreplace").decode()


def _check_ids(name: str, samples: Sequence[Sample]) -> None:
    twice = [f"{known!r} for {num}" for known, num in Counter(s.id for s in samples).items() if num > 1]
    if twice:
        shown = ", ".join(twice[:_IDS_SHOWN]) + (f", … ({len(twice)} ids)" if len(twice) > _IDS_SHOWN else "")
        raise DataError(
            f"task {name!r} gives several samples one id: {shown}; ids join predictions, twins and attributions and must be unique"
        )


def _check_gate(gate: Gate, items: Sequence[PlannedItem], registry: Registry) -> None:
    """A gate that could never be answered is an error now, not after the run."""
    about = [i for i in items if gate.concerns(i.model.name, i.item)]
    if any(gate.metric.partition("[")[0] in ROWS[i.kind] or gate.metric in getattr(i.task.task, "metrics", ()) for i in about):
        return
    if any(gate.metric in _agreement_names(i, items) for i in about):
        return
    found = [(i.model.name, i.item, metric) for i in items for metric in (_metric_names(i, registry) if i in about else ("",))]
    if not any(gate.metric == metric for i in about for metric in _metric_names(i, registry)):
        raise ConfigError(f"gate {gate.text!r}: {gate.nothing(found)}")


def _agreement_names(item: PlannedItem, items: Sequence[PlannedItem]) -> list[str]:
    """The rows of a probe about those that run after it on the same samples."""
    probes = [i for i in items if (i.kind, i.model.name, i.task.name) == ("probe", item.model.name, item.task.name)]
    later = probes[probes.index(item) + 1 :] if item in probes else []
    return [f"{beginning}{i.item.removesuffix(f'({i.task.name})')}" for i in later for beginning in AGREEMENT]


def _metric_names(item: PlannedItem, registry: Registry) -> list[str]:
    """The rows that an item can have. Metrics are loaded for this (and with them torch): only a name that is not a metric's asks."""
    if item.kind != "task":
        return [*ROWS[item.kind], *map(accuracy_within, item.settings.get("epsilons") or ())]
    labels = tuple(str(label) for label in item.task.labels)
    own = [name for metric in item.task.task.metrics for name in registry.make("metrics", metric).names(labels)]
    slices = sorted({str(sample.metadata["slice"]) for sample in item.task.samples if "slice" in sample.metadata})
    return [*own, *(f"{name}[{part}]" for name in own for part in slices), *ROWS["task"]]


def _check_labels(model: PlannedModel, task: PlannedTask) -> None:
    """Names that don't match are found here, before any weights load, and labels that several may hold of an input."""
    if "classify" not in task.task.requires or not task.labels:
        return
    if model.info.is_multi_label:
        raise ModelError(
            f"task {task.name!r} on model {model.name!r}: an input has one of the task's classes ({', '.join(task.labels)}), "
            f"and any number of the model's labels ({', '.join(model.info.labels)}). Name the label that answers the task with the "
            "model setting positive_label: NAME (of hf; a Python function can return that score alone), or say that only one of them "
            "holds: problem_type: single_label_classification (of hf)"
        )
    if model.info.labels:
        from .models.labels import columns_of

        try:
            columns_of(model.info.labels, task.labels)
        except UserError as error:
            raise type(error)(f"task {task.name!r} on model {model.name!r}: {error}") from error


def _task_items(model: PlannedModel, task: PlannedTask, suite: Suite, roles: Mapping[str, PlannedModel]) -> list[PlannedItem]:
    made = PlannedItem(
        model, task.name, "task", task, task.samples, seed_of(suite.seed, task.name), task.origin, settings=task.spec.settings,
        num_requests=task.num_requests, roles=roles,
    )  # fmt: skip
    if not suite.check_drift or not task.task.requires & _DRIFT_KINDS:
        return [made]
    few = task.samples[:_NUM_DRIFT_SAMPLES]
    drift = PlannedItem(
        model, f"batch_invariance({task.name})", "drift", task, few, made.seed, "windtunnel",
        num_requests=len(few),
    )  # fmt: skip
    return [made, drift] if task.num_requests is not None else [made]


def _num_common(first: str, second: str) -> int:
    """Length of the longest common beginning, by halving: texts are compared by the interpreter and not here."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low


def _load(task: Any, sample: Sample, before: str) -> tuple[Load, str]:
    """The sample's load, and what its last request begins with. ``before``: the same of the sample before."""
    if hasattr(task, "run"):
        return Load(None, size_of(sample.input), str(sample.metadata.get("error", ""))), ""
    positions = 0
    try:
        requests = list(task.requests(sample))
        for request in requests:
            beginning = request.beginning()
            # What a request has in common with the one before it is computed once; so much less can wait to be written.
            positions += max(1, request.size() - _num_common(before, beginning) // CHARACTERS)
            before = beginning
        return Load(len(requests), positions), before
    except BaseException as error:
        if is_interrupt(error):
            raise
        # A bad sample becomes a record when it is run; here it only makes no requests.
        return Load(0, 0, sentence(error)), before


def _joint_roles(spec: AttackSpec | ProbeSpec, task: PlannedTask, name: str) -> dict[str, str]:
    """Who plays what for an attack or a probe on a task that has roles of its own. One name is one model."""
    for role, player in spec.roles.items():
        if task.spec.roles.get(role, player) != player:
            raise ConfigError(
                f"{name!r} gives the role {role!r} to {player!r}, and its task {task.name!r} to {task.spec.roles[role]!r}; "
                "what judges the task's answers may not differ between them: name one model in both"
            )
    return {**task.spec.roles, **spec.roles}


def _plugin_items(
    spec: AttackSpec | ProbeSpec,
    models: Sequence[PlannedModel],
    auxiliary: Sequence[PlannedModel],
    tasks: Sequence[PlannedTask],
    ran: set[tuple[str, str]],
    suite: Suite,
    registry: Registry,
) -> tuple[list[PlannedItem], list[Skipped]]:
    """An attack or probe on each task of each model that both sides allow."""
    kind, plugin_name = ("attack", spec.attack) if isinstance(spec, AttackSpec) else ("probe", spec.probe)
    name = spec.name or plugin_name
    entry = registry.get(f"{kind}s", plugin_name)
    settings = with_folder(entry, spec.settings, suite.resources)
    plugin = _made(f"{kind}s", plugin_name, registry, **settings)
    threat = threat_of(spec.threat, plugin, name, suite.resources) if isinstance(spec, AttackSpec) else None
    if missing := missing_resources(plugin) or missing_resources(threat):
        raise CapabilityError(f"{kind} {name!r}: {missing}. What can be fetched is by: windtunnel prefetch SUITE")
    seeds = range(2, spec.seeds + 1)
    draws = kind == "probe" and "seed" in (parameters(entry.load()) or ())
    others = [_made("probes", plugin_name, registry, **{**settings, "seed": probe_seed(settings, n)}) for n in seeds if draws]
    check_named(spec.tasks, [t.name for t in tasks], f"{kind} {name!r} is to run on the task")
    check_named(spec.models, [m.name for m in models], f"{kind} {name!r} wants the model")
    items, skipped = [], []
    for task in tasks:
        item = f"{name}({task.name})"
        if spec.tasks is not None and task.name not in spec.tasks:
            continue
        pool = [m for m in models if (m.name, task.name) in ran and (spec.models is None or m.name in spec.models)]
        reason = unfit(plugin, task)
        if reason is None:
            requires = asks_model(plugin, task)
            able, unable = (
                choose(pool, requires, spec.models and [m.name for m in pool], f"{kind} {name!r}", threat)
                if spec.tasks or spec.models
                else able_models(pool, requires, threat)
            )
        elif spec.tasks is not None:
            raise CapabilityError(f"{kind} {name!r} cannot run on task {task.name!r}: {reason}")
        else:
            able, unable = [], [(m, reason) for m in pool]
        skipped += [Skipped(model.name, item, why) for model, why in unable]
        samples = task.samples[: spec.limit]
        if able and threat is not None and hasattr(threat, "check_input"):
            threat.check_input(samples[0])
        # The task judges the answers, so that its roles are played here as well, by whom the task names.
        roles = cast(_joint_roles(spec, task, name), [plugin, threat, task.task], [*models, *auxiliary], f"{kind} {name!r}")
        for model in able:
            seed = seed_of(suite.seed, item)
            made = PlannedItem(
                model, item, kind, task, samples, seed, entry.origin, plugin, threat, dict(spec.settings), roles=roles,
                scores=(suite.scores if spec.scores is None else spec.scores) if isinstance(spec, ProbeSpec) else (),
                each_word=isinstance(spec, ProbeSpec) and spec.each_word,
            )  # fmt: skip
            items.append(made)
            if isinstance(spec, AttackSpec):
                items += repeated(made, name, spec.seeds, suite.seed)
                items += transfers(made, spec.transfer, [m for m in models if (m.name, task.name) in ran])
            elif draws:
                items += reseeded(made, name, others)
            elif spec.seeds > 1:
                skipped.append(Skipped(model.name, f"{name}#2({task.name})", "the probe draws nothing: with every seed it is the same"))
    if not items:
        reasons = "; ".join(dict.fromkeys(s.reason for s in skipped)) or "none of its tasks runs on its models"
        raise CapabilityError(f"{kind} {name!r} can run on nothing in this suite: {reasons}")
    return items, skipped
