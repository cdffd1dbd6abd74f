"""The base class of the kinds whose items are programs of a suite: attacks and probes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from ...api.plugins import Program
from ...suite.specs import AttackSpec, ProbeSpec, Suite
from .kind import ItemKind
from .planned_item import PlannedItem

Spec = TypeVar("Spec", AttackSpec, ProbeSpec)


class ProgramKind(ItemKind, Generic[Spec]):
    """A kind whose items are the entries of a suite's ``section``, which is also the group of their plugins."""

    work_per_position: ClassVar[int] = 20

    def fields(self, spec: Spec, plugin: Program, suite: Suite, /) -> Mapping[str, Any]:
        """Return the fields of `PlannedItem` that the suite's entry sets. Raises `ConfigError` for an invalid entry."""
        raise NotImplementedError

    def find_likeness(self, item: PlannedItem, /) -> Hashable:
        """Return the program with its settings, except for the seed, and what its task asks."""
        settings = sorted((name, repr(value)) for name, value in item.settings.items() if name != "seed")
        return item.task.requires, self.name, type(item.plugin), tuple(settings), item.scores, item.each_word

    def why_never_repeated(self, settings: Collection[str], /) -> str:
        """Explain why the plugin is deterministic; empty if it uses the seed. ``settings``: names of its settings."""
        return ""

    def repeat(self, first: PlannedItem, number: int, suite_seed: int, make: Callable[[Mapping[str, Any]], Program], /) -> PlannedItem:
        """Return repetition ``number`` of an item with another seed. ``make``: creates the plugin with new settings."""
        raise NotImplementedError
