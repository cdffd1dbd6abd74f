"""What all plugins share that the harness works with.

How a plugin is found: by an entry point of the groups in `registry.GROUPS`, or by ``@plugin(group, name)`` in a file given with
``--plugin``. Keyword parameters of its ``__init__`` are its settings in a suite file; its docstring is what ``windtunnel show`` prints.

Each group has a base class whose attributes and methods have the defaults that the harness reads: `task.Task`, `attack.Attack`,
`probe.Probe`, `report.Report`; an attack has a `threat.Threat`. A class need not derive from it: `bases` adds the defaults then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .resources import Resource


def gives(plugin: object, method: Callable[..., object], /) -> bool:
    """Tell whether a plugin has a method of its own in the place of its base class's. ``method``: the base class's, e.g. ``Task.run``."""
    found = getattr(plugin, method.__name__)
    return getattr(found, "__func__", found) is not method


F = TypeVar("F", bound=Callable[..., object])


def needed_unless(other: str, /) -> Callable[[F], F]:
    """Mark a method of a base class that a plugin gives unless it gives the method ``other``."""

    def mark(method: F) -> F:
        _instead[method] = other
        return method

    return mark


def instead_of(method: object, /) -> str:
    """Return the method that a plugin may give in place of this one of its base class; empty where `needed_unless` does not mark it."""
    return _instead.get(method, "")


_instead: dict[object, str] = {}

NOTHING: Mapping[str, frozenset[str]] = MappingProxyType({})
"""No roles."""


class Plugin:
    """Base of tasks, attacks, probes and threats.

    ``requires``: the capabilities that a model needs: request kinds, modalities, ``gradients``, ``attention``.
    ``roles``: further models that it cannot do without (a judge, a sentence encoder), by role, each with the capabilities that such a
    model needs, e.g. ``{"judge": frozenset({"generate"})}``. The suite names the models; ``engine.roles["judge"]`` is that model's engine.
    ``optional_roles``: further models that it uses where the suite names them.
    """

    __slots__ = ()
    requires: frozenset[str]
    roles: Mapping[str, frozenset[str]] = NOTHING
    optional_roles: Mapping[str, frozenset[str]] = NOTHING

    def resources(self) -> Sequence[Resource]:
        """List what it reads beside models and samples: word lists, thesauri, word vectors, data sets of the hub."""
        return ()


class Program(Plugin):
    """Base of attacks and probes.

    ``inputs``: the modalities that it works on, of which a task must have one; None: those in ``requires``.
    ``reads``: the keys that it reads of a sample's metadata, each with a sentence on the tasks that have it.
    ``asks_beyond``: capabilities of ``requires`` that a model needs though the task does not ask for them.
    ``caution``: a sentence that a reader must know before believing its numbers; the scorecard flags it.
    """

    __slots__ = ()
    inputs: frozenset[str] | None = None
    reads: Mapping[str, str] = MappingProxyType({})
    asks_beyond: frozenset[str] = frozenset()
    caution: str = ""
