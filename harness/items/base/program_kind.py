"""Kinds whose items a suite lists by a plugin: attacks and probes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from ...api.plugins import Program
from ...suite.specs import AttackSpec, ProbeSpec, Suite
from .kind import ItemKind
from .planned_item import PlannedItem

Spec = TypeVar("Spec", AttackSpec, ProbeSpec)


class ProgramKind(ItemKind, Generic[Spec]):
    """A kind whose items a suite lists under ``section``, which is also the group of their plugins."""

    effort: ClassVar[int] = 20

    def fields(self, spec: Spec, plugin: Program, suite: Suite, /) -> Mapping[str, Any]:
        """The fields of a `PlannedItem` that the suite's entry decides. Raises `ConfigError`."""
        raise NotImplementedError

    def why_never_repeated(self, settings: Collection[str], /) -> str:
        """Why the plugin gives the same with every seed; empty where it does not. ``settings``: the names of the plugin's settings."""
        return ""

    def repeat(self, first: PlannedItem, number: int, suite_seed: int, make: Callable[[Mapping[str, Any]], Program], /) -> PlannedItem:
        """The item with another seed, as its repetition ``number``. ``make``: makes the plugin with these settings in place of its own."""
        raise NotImplementedError
