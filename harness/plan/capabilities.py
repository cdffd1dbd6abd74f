"""What each model, task and plugin can do together, known before any weights load."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..api.errors import CapabilityError, UnknownName, did_you_mean
from ..engine.continuations import has_continuations

if TYPE_CHECKING:
    from .types import PlannedModel, PlannedTask

Passed = list[tuple["PlannedModel", str]]
"""Models that cannot, each with the reason."""


def choose(
    models: Sequence[PlannedModel], requires: frozenset[str], named: Sequence[str] | None, what: str, threat: Any = None
) -> tuple[list[PlannedModel], Passed]:
    """The models that can, and those that cannot with the reason. It is an error when one was named and cannot, or none can. ``threat``:
    what an attack's threat asks of the model counts, too."""
    check_named(named, [m.name for m in models], f"{what} wants the model")
    able, unable = able_models([m for m in models if named is None or m.name in named], requires, threat)
    if unable and (named is not None or not able):
        model, reason = unable[0]
        raise CapabilityError(f"{what} cannot run on model {model.name!r}: it {reason}")
    return able, unable


def check_named(wanted: Sequence[str] | None, known: Sequence[str], what: str) -> None:
    for name in wanted or ():
        if name not in known:
            raise UnknownName(f"{what} {name!r}, which the suite does not have.{did_you_mean(name, known)} It has {', '.join(known)}")


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def able_models(pool: Sequence[PlannedModel], requires: frozenset[str], threat: Any = None) -> tuple[list[PlannedModel], Passed]:
    """The models that can, and those that cannot with the reason."""
    able, unable = [], []
    for model in pool:
        if reason := _lacking(model, requires, threat):
            unable.append((model, reason))
        else:
            able.append(model)
    return able, unable


def _lacking(model: PlannedModel, requires: frozenset[str], threat: Any) -> str:
    """What the model lacks of the required capabilities; empty where it lacks nothing."""
    if lack := model.info.describe_lack(requires):
        return lack
    if lack := model.info.describe_lack(frozenset(getattr(threat, "requires", ()))):
        instead = getattr(threat, "instead", "")
        return f"{lack}, which its threat needs{f'; {instead}' if instead else ''}"
    return ""


def asks_model(plugin: Any, task: PlannedTask) -> frozenset[str]:
    """What the plugin needs of a model on this task. A probe of classes explains continuations by their log-likelihoods."""
    requires = frozenset(plugin.requires)
    if "classify" in requires and hasattr(plugin, "attribute") and has_continuations(task.task):
        return requires - {"classify"} | {"loglikelihood"}
    return requires


def unfit(plugin: Any, task: PlannedTask) -> str | None:
    """Why this plugin cannot work on this task, whatever the model; None when it can."""
    if not task.task.primary:
        return "the task has no right and wrong to attack or explain"
    inputs = getattr(plugin, "inputs", None)
    if inputs is not None and not inputs & task.task.requires:
        return f"it works on {listed(inputs)}; the task is about {listed(task.task.requires)}"
    reads: Mapping[str, str] = getattr(plugin, "reads", {})
    if lacking := [key for key in reads if not any(key in sample.metadata for sample in task.samples[:1])]:
        return f"its samples have no {lacking[0]!r}; {reads[lacking[0]]}"
    beyond = {"gradients", "attention"} | getattr(plugin, "asks_beyond", frozenset())
    if has_continuations(task.task) and hasattr(plugin, "attribute"):
        beyond |= {"classify"}
    missing = plugin.requires - task.task.requires - beyond
    return f"it works on {listed(plugin.requires)}; the task is about {listed(task.task.requires)}" if missing else None
