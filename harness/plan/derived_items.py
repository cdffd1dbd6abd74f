"""What follows from an attack or a probe in the work list: the same with other seeds, an attack's twins shown to other models and
explained, the worst case over all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from ..api.probe import Probe
from ..api.samples import seed_of
from ..engine.continuations import has_continuations
from ..items.attack.worst_case_groups import worst_case_groups
from ..threats import describe_threat
from .capabilities import check_named
from .types import PlannedItem, PlannedModel


def repeated(first: PlannedItem, name: str, seeds: int, suite_seed: int, /) -> Iterable[PlannedItem]:
    """The attack again, with as many seeds as make ``seeds`` with the first: ``pgd#2(cifar10)``, ``pgd#3(cifar10)``."""
    for number in range(2, seeds + 1):
        item = f"{name}#{number}({first.task.name})"
        yield replace(first, item=item, seed=seed_of(suite_seed, item), repeats=first.item)


def reseeded(first: PlannedItem, name: str, probes: Sequence[Probe], /) -> Iterable[PlannedItem]:
    """The probe again, as ``probes`` have it with other seeds, for its attributions alone: ``lime#2(sst2)``, ``lime#3(sst2)``."""
    for number, probe in enumerate(probes, 2):
        settings = {**first.settings, "seed": probe_seed(first.settings, number)}
        yield replace(first, item=f"{name}#{number}({first.task.name})", plugin=probe, settings=settings, scores=(), repeats=first.item)


def probe_seed(settings: Mapping[str, Any], number: int, /) -> int:
    return int(settings.get("seed", 0)) + number - 1


def transfers(source: PlannedItem, to: bool | Sequence[str], models: Sequence[PlannedModel], /) -> Iterable[PlannedItem]:
    """The attack's twins scored on other models: ``transfer(pgd(cifar10), A)`` on B is what A's twins do to B. ``to``: True for all."""
    if not isinstance(to, bool):
        check_named(to, [m.name for m in models], f"attack {source.item!r} transfers to the model")
    for model in models:
        if model.name != source.model.name and (to is True or (to and model.name in to)):
            yield PlannedItem(
                model, transfer_name(source.item, source.model.name), "transfer", source.task, source.samples, source.seed, source.origin,
                threat=source.threat, settings=source.settings, source=source,
            )  # fmt: skip


def transfer_name(item: str, model: str, /) -> str:
    return f"transfer({item}, {model})"


def shifts(items: Sequence[PlannedItem], suite_seed: int, /) -> Iterable[PlannedItem]:
    """Each probe that calls for it, on the twins of each attack on the same task of the same model."""
    for probe, attack in product(items, items):
        same = (probe.model.name, probe.task.name) == (attack.model.name, attack.task.name)
        if same and "twins" in probe.scores and attack.kind == "attack" and not attack.repeats and _is_explained(probe):
            item = f"explanation_shift({probe.item}, {attack.item})"
            samples = min(probe.samples, attack.samples, key=len)
            yield replace(probe, item=item, kind="shift", samples=samples, seed=seed_of(suite_seed, item), source=attack, explained=probe)


def reliances(items: Sequence[PlannedItem], suite_seed: int, /) -> Iterable[PlannedItem]:
    """The words that carry predictions by each probe that calls for it, and the task's accuracy without them."""
    for probe in items:
        if "words" in probe.scores and _is_explained(probe) and probe.task.task.requires & {"text", "pair"}:
            item = f"word_reliance({probe.item})"
            yield replace(probe, item=item, kind="reliance", seed=seed_of(suite_seed, item), explained=probe)


def _is_explained(probe: PlannedItem) -> bool:
    """Whether what the probe explains is the task's answer: a class, or a continuation."""
    return "classify" in probe.task.task.requires or has_continuations(probe.task.task)


def worst_cases(items: Iterable[PlannedItem], /) -> Iterable[PlannedItem]:
    """An item to be named in gates for each worst case. It is computed from the records of its attacks, not run."""
    attacks = ((item, item.model.name, item.task.name, describe_threat(item.threat)) for item in items if item.kind == "attack")
    for (_, name), members in worst_case_groups(attacks).items():
        yield replace(members[0], item=name, kind="worst_case", plugin=None, threat=None, settings={})
