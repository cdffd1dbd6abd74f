"""A suite to a work list, without any weights: what would run, how much, and what cannot run and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..api.errors import CapabilityError, ConfigError, ModelError, UserError
from ..api.model import ModelSource
from ..api.registry import Registry, parameters
from ..api.resources import missing_resources, with_folder
from ..api.samples import seed_of
from ..scorecard.gates import Gate
from ..suite.specs import AttackSpec, ModelSpec, ProbeSpec, Suite
from ..threats import build_threat
from .capabilities import able_models, asks_model, check_named, choose, unfit
from .casting import cast
from .derived_items import probe_seed, reliances, repeated, reseeded, shifts, transfers, worst_cases
from .gate_checks import check_gate
from .plugins import ask_plugin, make_plugin
from .tasks import plan_task
from .types import Plan, PlannedItem, PlannedModel, PlannedTask, Skipped

_NUM_DRIFT_SAMPLES = 8
_DRIFT_KINDS = {"classify", "loglikelihood", "pseudo_loglikelihood"}


def plan(suite: Suite, registry: Registry) -> Plan:
    """Raises `UserError` for names, settings and data that cannot be. Loads data and configurations, no weights."""
    for index, name in enumerate(suite.reports):
        with _placed(suite, "reports", index):
            registry.make("reports", name)
    models, auxiliary = (_planned_models(suite, key, registry) for key in ("models", "auxiliary_models"))
    tasks = []
    for index, task_spec in enumerate(suite.tasks):
        with _placed(suite, "tasks", index):
            tasks.append(plan_task(task_spec, suite, registry))
            if tasks[-1].name in {task.name for task in tasks[:-1]}:
                raise ConfigError(f"two tasks are called {tasks[-1].name!r}; tell them apart with 'name:'")
    items: list[PlannedItem] = []
    skipped: list[Skipped] = []
    impossible: list[str] = []

    for index, task in enumerate(tasks):
        with _gathered(impossible), _placed(suite, "tasks", index):
            chosen, passed = choose(models, task.requires, task.spec.models, f"task {task.name!r}")
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
                check_gate(parsed, [*items, *worst_cases(items)], registry)
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


def _planned_models(suite: Suite, key: str, registry: Registry) -> list[PlannedModel]:
    models = []
    for index, spec in enumerate(getattr(suite, key)):
        with _placed(suite, key, index):
            models.append(_planned_model(spec, registry))
    return models


def _planned_model(spec: ModelSpec, registry: Registry) -> PlannedModel:
    if "target" in spec.settings:
        raise ConfigError(f"model {spec.model!r}: 'target' is no setting; it stands after the kind: 'model: {spec.kind}:TARGET'")
    source: ModelSource = make_plugin("models", spec.kind, registry, target=spec.target, **spec.settings)
    info = ask_plugin(f"model {spec.model!r} cannot be inspected", source.inspect, ModelError)
    return PlannedModel(spec.name or spec.model, spec, source, info)


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
        from ..models.common.labels import columns_of

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
    plugin = make_plugin(f"{kind}s", plugin_name, registry, **settings)
    threat = build_threat(spec.threat, plugin, name, suite.resources) if isinstance(spec, AttackSpec) else None
    if missing := missing_resources(plugin) or missing_resources(threat):
        raise CapabilityError(f"{kind} {name!r}: {missing}. What can be fetched is by: windtunnel prefetch SUITE")
    seeds = range(2, spec.seeds + 1)
    draws = kind == "probe" and "seed" in (parameters(entry.load()) or ())
    others = [make_plugin("probes", plugin_name, registry, **{**settings, "seed": probe_seed(settings, n)}) for n in seeds if draws]
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
        if able and threat is not None:
            threat.check_input(samples[0])
        # The task judges the answers, so that its roles are played here as well, by whom the task names.
        parts = [plugin, task.task] if threat is None else [plugin, threat, task.task]
        roles = cast(_joint_roles(spec, task, name), parts, [*models, *auxiliary], f"{kind} {name!r}")
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
