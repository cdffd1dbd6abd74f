"""What follows from an attack or a probe in the work list: the same with other seeds, an attack's twins shown to other models and
explained, the worst case over all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, TypeVar

from .explaining.continuations import has_continuations
from .matching import check_named
from .planned import PlannedItem, PlannedModel
from .samples import seed_of
from .threats import described, holds, is_bounded, title_of

A = TypeVar("A")


def repeated(first: PlannedItem, name: str, seeds: int, suite_seed: int, /) -> Iterable[PlannedItem]:
    """The attack again, with as many seeds as make ``seeds`` with the first: ``pgd#2(cifar10)``, ``pgd#3(cifar10)``."""
    for number in range(2, seeds + 1):
        item = f"{name}#{number}({first.task.name})"
        yield replace(first, item=item, seed=seed_of(suite_seed, item), repeats=first.item)


def reseeded(first: PlannedItem, name: str, probes: Sequence[Any], /) -> Iterable[PlannedItem]:
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
    attacks = ((item, item.model.name, item.task.name, described(item.threat)) for item in items if item.kind == "attack")
    for (_, name), members in worst_case_groups(attacks).items():
        yield replace(members[0], item=name, kind="worst_case", plugin=None, threat=None, settings={})


def worst_case_groups(attacks: Iterable[tuple[A, str, str, Any]], /) -> dict[tuple[str, str], list[A]]:
    """Attacks that have a worst case together: for each threat on a task of a model, those that keep to it, where these are more than one.

    ``attacks``: each with its model, its task and its threat as `threats.described` gives it. An attack that may change less counts for a
    wider threat, too, never the other way. Returns them by model and by the worst case's name, which tells the threat where the task is
    attacked under several.
    """
    listed = list(attacks)
    found: dict[tuple[str, str], list[A]] = {}
    for _, model, task, threat in listed:
        several = len({title_of(other) for _, _, on, other in listed if on == task}) > 1
        name = worst_case_name(task, title_of(threat) if several else "")
        members = [attack for attack, by, on, other in listed if (by, on) == (model, task) and holds(threat, other)]
        if is_bounded(threat) and len(members) > 1:
            found.setdefault((model, name), members)
    return found


def worst_case_name(task: str, threat: str = "", /) -> str:
    return f"worst_case({task}, {threat})" if threat else f"worst_case({task})"
