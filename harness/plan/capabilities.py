"""Checks whether models, tasks and plugins fit together, before weights load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..api.errors import CapabilityError, check_named
from ..api.model import FEATURES
from ..api.plugins import Program
from ..api.probe import Probe
from ..api.threat import Threat
from ..engine.continuations import has_continuations
from ..modalities.base import find_modality

if TYPE_CHECKING:
    from ..items.base.planned_item import PlannedModel, PlannedTask

Passed = list[tuple["PlannedModel", str]]
"""Models that lack a required capability, each with the reason."""


def choose(
    models: Sequence[PlannedModel], requires: frozenset[str], named: Sequence[str] | None, what: str, threat: Threat | None = None
) -> tuple[list[PlannedModel], Passed]:
    """Return the models that have the required capabilities, and the other models with the reason.

    ``models``: the candidates.
    ``requires``: the required capabilities.
    ``named``: the names of the models to use; None uses every model that fits.
    ``what``: the task, attack or probe, for error messages.
    ``threat``: the threat of an attack, whose required capabilities are added.

    Raises `UnknownName` if a named model does not exist. Raises `CapabilityError` if a named model lacks a capability,
    or if no model fits.
    """
    check_named(named, [m.name for m in models], f"{what} wants the model")
    able, unable = split_by_ability([m for m in models if named is None or m.name in named], requires, threat)
    if unable and (named is not None or not able):
        model, reason = unable[0]
        raise CapabilityError(f"{what} cannot run on model {model.name!r}: it {reason}")
    return able, unable


def join_names(names: Iterable[str]) -> str:
    """Join names, sorted, with commas; "nothing" if there are none."""
    return ", ".join(sorted(names)) or "nothing"


def split_by_ability(
    pool: Sequence[PlannedModel], requires: frozenset[str], threat: Threat | None = None
) -> tuple[list[PlannedModel], Passed]:
    """Return the models that have the required capabilities, and the other models with the reason."""
    able, unable = [], []
    for model in pool:
        if reason := _describe_lack(model, requires, threat):
            unable.append((model, reason))
        else:
            able.append(model)
    return able, unable


def _describe_lack(model: PlannedModel, requires: frozenset[str], threat: Threat | None) -> str:
    """Describe a required capability that the model lacks; empty if it has all of them."""
    if lack := model.info.describe_lack(requires):
        return lack
    if threat is not None and (lack := model.info.describe_lack(threat.requires)):
        return f"{lack}, which its threat needs{f'; {threat.instead}' if threat.instead else ''}"
    return ""


def list_required(plugin: Program, task: PlannedTask) -> frozenset[str]:
    """Return the capabilities that the plugin requires of a model on this task.

    A probe that explains classes explains the continuations of a language model by their log-likelihoods.
    """
    requires = frozenset(plugin.requires)
    if "classify" in requires and isinstance(plugin, Probe) and has_continuations(task.task):
        return requires - {"classify"} | {"loglikelihood"}
    return requires


def explain_unfit(plugin: Program, task: PlannedTask) -> str | None:
    """Explain why the plugin cannot work on the task with any model; None if it can."""
    if not task.task.primary:
        return "the task has no right and wrong to attack or explain"
    if plugin.inputs is not None and not plugin.inputs & task.task.requires:
        return f"it works on {join_names(plugin.inputs)}; the task is about {join_names(task.task.requires)}"
    if isinstance(plugin, Probe) and plugin.needs_parts and (lack := _lacks_parts(task)):
        return lack
    if lacking := [key for key in plugin.reads if not any(key in sample.metadata for sample in task.samples[:1])]:
        return f"its samples have no {lacking[0]!r}; {plugin.reads[lacking[0]]}"
    beyond = FEATURES | plugin.asks_beyond
    if has_continuations(task.task) and isinstance(plugin, Probe):
        beyond |= {"classify"}
    missing = plugin.requires - task.task.requires - beyond
    return f"it works on {join_names(plugin.requires)}; the task is about {join_names(task.task.requires)}" if missing else None


def _lacks_parts(task: PlannedTask) -> str:
    """Explain why the task's inputs have no parts; empty if they have parts.

    The parts of a language model's prompt are the words of its text.
    """
    known = None if has_continuations(task.task) else next((find_modality(sample.input) for sample in task.samples[:1]), None)
    if known is None or known.part_kind:
        return ""
    return f"it attributes to parts of inputs, and the modality {known.name!r} has no parts; give the modality 'parts' and 'without'"
