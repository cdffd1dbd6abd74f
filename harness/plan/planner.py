"""Plans a suite without loading weights: the items to run, their size, and the skipped items with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..api.errors import CapabilityError, ConfigError, ModelError, UserError, check_named
from ..api.item_key import ItemKey
from ..api.model_source import ModelSource
from ..api.registry import Registry, list_parameters
from ..api.resources import describe_missing_resources, with_folder
from ..api.samples import seed_of
from ..items.base.kind import Planned
from ..items.base.planned_item import PlannedItem, PlannedModel, PlannedTask
from ..items.base.program_kind import ProgramKind
from ..items.kinds import list_kinds
from ..suite.specs import AttackSpec, ModelSpec, ProbeSpec, Suite
from .capabilities import Passed, choose, explain_unfit, list_required, split_by_ability
from .casting import cast
from .gate_checks import check_early_stop, check_gate
from .plugins import call_plugin, make_plugin
from .tasks import plan_by_generation, plan_task
from .types import Plan, Skipped


def plan(suite: Suite, registry: Registry) -> Plan:
    """Plan a suite: load its data and model configurations, and list the items to run.

    ``registry``: the plugins. Raises `UserError` for invalid names, settings or data, and for gates on rows that no
    item can have. Does not raise if no model can run an entry: `Plan.impossible` has the reasons.
    """
    for index, report in enumerate(suite.reports):
        with _place_errors(suite, "reports", index):
            registry.make("reports", report.report, **report.settings)
    models, auxiliary = (_plan_models(suite, key, registry) for key in ("models", "auxiliary_models"))
    tasks = []
    for index, task_spec in enumerate(suite.tasks):
        with _place_errors(suite, "tasks", index):
            tasks.append(plan_task(task_spec, suite, registry))
            if tasks[-1].name in {task.name for task in tasks[:-1]}:
                raise ConfigError(f"two tasks are called {tasks[-1].name!r}; tell them apart with 'name:'")
    kinds = list_kinds(registry).values()
    tasks_kind = next(kind for kind in kinds if kind.section == "tasks")
    items: list[PlannedItem] = []
    skipped: list[Skipped] = []
    impossible: list[str] = []

    for index, task in enumerate(tuple(tasks)):
        with _gather_errors(impossible), _place_errors(suite, "tasks", index):
            forms, passed = _choose_forms(task, models, registry)
            skipped += [Skipped(model.name, task.name, reason) for model, reason in passed]
            roles = cast(task.spec.roles, [task.task], [*models, *auxiliary], f"task {task.name!r}")
            for model, form in forms:
                _check_labels(model, form)
                seed, key = seed_of(suite.seed, form.name), ItemKey(tasks_kind.name, form.name)
                item = PlannedItem(model, tasks_kind, key, form, form.samples, seed, form.origin, settings=form.spec.settings)
                items.append(replace(item, num_requests=form.num_requests, roles=roles))
            tasks += {id(form): form for _, form in forms if form is not task}.values()

    ran = {(i.model.name, id(i.task)) for i in items}
    for programs in (kind for kind in kinds if isinstance(kind, ProgramKind)):
        for index, spec in enumerate(suite.entries(programs.section)):
            with _gather_errors(impossible), _place_errors(suite, programs.section, index):
                more, passed_over = _plan_program(programs, spec, models, auxiliary, tasks, ran, suite, registry)
                items += more
                skipped += passed_over
    for kind in kinds:
        items += kind.derive(Planned(suite, models, tuple(items)))

    order = {name: index for index, name in enumerate(m.name for m in models)}
    places = {kind.name: index for index, kind in enumerate(kinds)}
    items.sort(key=lambda i: (order[i.model.name], places[i.kind.name]))
    twice = [key for key, n in Counter((i.model.name, i.item) for i in items).items() if n > 1]
    if twice:
        raise ConfigError(f"two entries are called {twice[0][1]!r}; tell them apart with 'name:'")
    for index, gate in enumerate(suite.gates):
        with _place_errors(suite, "gates", index):
            parsed = gate.parse()
            if not impossible:
                check_gate(parsed, items, registry, has_baseline=suite.baseline is not None)
    if suite.stop is not None and not impossible:
        with _place_errors(suite, "stop"):
            check_early_stop([gate.parse() for gate in suite.gates], items, suite.num_looks, registry)
    run = tuple(item for item in items if item.kind.runs)
    return Plan(suite, tuple(models), tuple(auxiliary), run, tuple(skipped), tuple(impossible))


@contextmanager
def _gather_errors(impossible: list[str]) -> Iterator[None]:
    """Collect capability errors, so that the user reads all of them at once."""
    try:
        yield
    except CapabilityError as error:
        impossible.append(str(error))


@contextmanager
def _place_errors(suite: Suite, *path: str | int) -> Iterator[None]:
    """Prefix errors with the file and line of the suite's entry at ``path``."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{suite.place(*path, about=str(error))}{error}") from error


def _plan_models(suite: Suite, key: str, registry: Registry) -> list[PlannedModel]:
    models = []
    for index, spec in enumerate(getattr(suite, key)):
        with _place_errors(suite, key, index):
            models.append(_plan_model(spec, registry))
    return models


def _plan_model(spec: ModelSpec, registry: Registry) -> PlannedModel:
    if "target" in spec.settings:
        raise ConfigError(f"model {spec.model!r}: 'target' is no setting; it stands after the kind: 'model: {spec.kind}:TARGET'")
    source: ModelSource = make_plugin("models", spec.kind, registry, target=spec.target, **spec.settings)
    info = call_plugin(f"model {spec.model!r} cannot be inspected", source.inspect, ModelError)
    return PlannedModel(spec.name or spec.model, spec, source, info)


def _check_labels(model: PlannedModel, task: PlannedTask) -> None:
    """Check the model's labels against the task's classes before weights load.

    Raises `ModelError` for a multi-label model, and `UserError` if names of labels do not match.
    """
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
        from ..models.common.labels import find_columns

        try:
            find_columns(model.info.labels, task.labels)
        except UserError as error:
            raise type(error)(f"task {task.name!r} on model {model.name!r}: {error}") from error


def _choose_forms(
    task: PlannedTask, models: Sequence[PlannedModel], registry: Registry
) -> tuple[list[tuple[PlannedModel, PlannedTask]], Passed]:
    """Return the models that can run a task, each with the form of the task that it can run, and the other models with the reason.

    Raises the errors of `choose`.
    """
    what, named = f"task {task.name!r}", task.spec.models
    candidates = [model for model in models if named is None or model.name in named]
    _, unable = split_by_ability(candidates, task.requires)
    spoken = plan_by_generation(task, registry) if unable else None
    speakers = split_by_ability([model for model, _ in unable], spoken.requires)[0] if spoken is not None else []
    names = {model.name for model in speakers}
    rest = [model for model in models if model.name not in names]
    if speakers and named is None:
        able, passed = split_by_ability(rest, task.requires)
    else:
        able, passed = choose(rest, task.requires, named and [name for name in named if name not in names], what)
    form_of = dict.fromkeys((model.name for model in able), task) | (dict.fromkeys(names, spoken) if spoken is not None else {})
    return [(model, form_of[model.name]) for model in models if model.name in form_of], passed


def _join_roles(spec: AttackSpec | ProbeSpec, task: PlannedTask, name: str) -> dict[str, str]:
    """Merge the roles of an attack or a probe with those of its task.

    Raises `ConfigError` if both assign the same role to different models.
    """
    for role, player in spec.roles.items():
        if task.spec.roles.get(role, player) != player:
            raise ConfigError(
                f"{name!r} gives the role {role!r} to {player!r}, and its task {task.name!r} to {task.spec.roles[role]!r}; "
                "what judges the task's answers may not differ between them: name one model in both"
            )
    return {**task.spec.roles, **spec.roles}


def _plan_program(
    kind: ProgramKind[Any],
    spec: AttackSpec | ProbeSpec,
    models: Sequence[PlannedModel],
    auxiliary: Sequence[PlannedModel],
    tasks: Sequence[PlannedTask],
    ran: set[tuple[str, int]],
    suite: Suite,
    registry: Registry,
) -> tuple[list[PlannedItem], list[Skipped]]:
    """Plan an attack or a probe on all tasks and models that it fits.

    ``ran``: the planned pairs of a model's name and the identity of a task: two forms of a task have one name.
    Returns the items, and the skipped ones with the reason.
    """
    name, what = spec.name or spec.program, f"{kind.name} {spec.name or spec.program!r}"
    entry = registry.get(kind.section, spec.program)
    settings = with_folder(entry, spec.settings, suite.resources)

    def make(changes: Mapping[str, Any]) -> Any:
        return make_plugin(kind.section, spec.program, registry, **{**settings, **changes})

    plugin = make({})
    fields = kind.fields(spec, plugin, suite)
    threat = fields.get("threat")
    if missing := describe_missing_resources(plugin) or describe_missing_resources(threat):
        raise CapabilityError(f"{what}: {missing}. What can be fetched is by: windtunnel prefetch SUITE")
    never_repeated = kind.why_never_repeated(list_parameters(entry.load()) or ())
    check_named(spec.tasks, [t.name for t in tasks], f"{what} is to run on the task")
    check_named(spec.models, [m.name for m in models], f"{what} wants the model")
    items: list[PlannedItem] = []
    skipped: list[Skipped] = []
    for task in tasks:
        key = ItemKey(kind.name, task.name, name)
        if spec.tasks is not None and task.name not in spec.tasks:
            continue
        pool = [m for m in models if (m.name, id(task)) in ran and (spec.models is None or m.name in spec.models)]
        reason = explain_unfit(plugin, task)
        if reason is None:
            requires = list_required(plugin, task)
            able, unable = (
                choose(pool, requires, spec.models and [m.name for m in pool], what, threat)
                if spec.tasks or spec.models
                else split_by_ability(pool, requires, threat)
            )
        elif spec.tasks is not None:
            raise CapabilityError(f"{what} cannot run on task {task.name!r}: {reason}")
        else:
            able, unable = [], [(m, reason) for m in pool]
        skipped += [Skipped(model.name, str(key), why) for model, why in unable]
        samples = task.samples[: spec.limit]
        if able and threat is not None:
            threat.check_input(samples[0])
        # The task judges the answers of the attack or probe, so its roles are needed here too.
        parts = [plugin, task.task] if threat is None else [plugin, threat, task.task]
        roles = cast(_join_roles(spec, task, name), parts, [*models, *auxiliary], what)
        for model in able:
            seed = seed_of(suite.seed, str(key))
            first = PlannedItem(
                model, kind, key, task, samples, seed, entry.origin, plugin, settings=dict(spec.settings), roles=roles, **fields
            )  # fmt: skip
            items.append(first)
            if never_repeated and spec.seeds > 1:
                skipped.append(Skipped(model.name, str(replace(key, seed=2)), never_repeated))
            elif not never_repeated:
                items += (kind.repeat(first, number, suite.seed, make) for number in range(2, spec.seeds + 1))
    if not items:
        reasons = "; ".join(dict.fromkeys(s.reason for s in skipped)) or "none of its tasks runs on its models"
        raise CapabilityError(f"{what} can run on nothing in this suite: {reasons}")
    return items, skipped
