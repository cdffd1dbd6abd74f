"""The base classes that tasks, attacks, probes and threats share.

A plugin is registered by an entry point of the groups in `registry.GROUPS`, or by ``@plugin(group, name)`` in a file that is passed with
``--plugin``. The keyword parameters of its ``__init__`` are its settings in a suite file; ``windtunnel show`` prints its docstring.

Each group has a base class whose attributes and methods have the defaults that the harness reads: `task.Task`, `attack.Attack`,
`probe.Probe`, `report.Report`; an attack has a `threat.Threat`. A class that does not derive from it gets the defaults from `bases`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .resources import Resource


def gives(plugin: object, method: Callable[..., object], /) -> bool:
    """Tell whether a plugin overrides a method of its base class. ``method``: that of the base class, e.g. ``Task.run``."""
    current = getattr(plugin, method.__name__)
    return getattr(current, "__func__", current) is not method


F = TypeVar("F", bound=Callable[..., object])


def needed_unless(other: str, /) -> Callable[[F], F]:
    """Mark a method of a base class as required unless the plugin defines the method ``other``."""

    def mark(method: F) -> F:
        _instead[method] = other
        return method

    return mark


def get_alternative(method: object, /) -> str:
    """Return the name of the method that a plugin may define instead; empty if `needed_unless` does not mark the method."""
    return _instead.get(method, "")


_instead: dict[object, str] = {}

NOTHING: Mapping[str, frozenset[str]] = MappingProxyType({})
"""No roles."""


class Plugin:
    """Base class of tasks, attacks, probes and threats.

    ``requires``: the capabilities that a model needs: request kinds, modalities, ``gradients``, ``attention``.
    ``roles``: required auxiliary models (a judge, a sentence encoder): the capabilities that each needs, by role, e.g.
    ``{"judge": frozenset({"generate"})}``. The suite names the models; ``engine.roles["judge"]`` is the engine of that model.
    ``optional_roles``: auxiliary models that it uses if the suite names them.
    """

    __slots__ = ()
    requires: frozenset[str]
    roles: Mapping[str, frozenset[str]] = NOTHING
    optional_roles: Mapping[str, frozenset[str]] = NOTHING

    def resources(self) -> Sequence[Resource]:
        """List the resources that it reads: word lists, thesauri, word vectors, data sets of the hub."""
        return ()


class Program(Plugin):
    """Base class of attacks and probes.

    ``inputs``: the modalities that it works on; a task must have one of them. None: those in ``requires``.
    ``reads``: the keys of a sample's metadata that it reads, each with a sentence about the tasks that have it.
    ``asks_beyond``: capabilities in ``requires`` that the task itself does not require of the model.
    ``caution``: a sentence about the limits of its numbers, which the scorecard shows as a flag.
    """

    __slots__ = ()
    inputs: frozenset[str] | None = None
    reads: Mapping[str, str] = MappingProxyType({})
    asks_beyond: frozenset[str] = frozenset()
    caution: str = ""
