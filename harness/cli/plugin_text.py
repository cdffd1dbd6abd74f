"""The description of a plugin."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from ..api.errors import UnknownName, suggest_name
from ..api.plugins import Plugin
from ..api.registry import GROUPS, Entry, Registry, list_parameters
from ..scorecard.measures import MEASURES


def describe(registry: Registry, name: str) -> str:
    """Return docstring, settings and origin of every plugin with the name, or the meaning of a row. Raises
    `UnknownName`."""
    found = [entry for group in GROUPS for entry in registry.entries(group) if entry.name == name]
    if not found and name in MEASURES:
        return describe_measure(name)
    if not found:
        known = [*(entry.name for group in GROUPS for entry in registry.entries(group)), *MEASURES]
        raise UnknownName(f"there is no plugin and no row {name!r}.{suggest_name(name, known)} 'windtunnel list' shows all plugins.")
    return "\n\n".join(_describe(entry) for entry in found)


def describe_measure(name: str) -> str:
    """What a row of a scorecard measures, and which way is better."""
    measure = MEASURES[name]
    better = {True: "higher is better", False: "lower is better", None: "neither direction is better"}[measure.higher_is_better]
    return f"{name}  (row, {better})\n\n  {measure.title}: {measure.explanation}"


def _describe(entry: Entry) -> str:
    factory = entry.load()
    lines = [f"{entry.name}  ({entry.group[:-1]}, from {entry.origin})", ""]
    lines += [f"  {line}".rstrip() for line in inspect.cleandoc(factory.__doc__ or "No description.").splitlines()]
    settings = list_parameters(factory)
    if settings:
        lines += ["", "  settings:"]
        lines += [f"    {parameter}" for parameter in settings.values()]
    requires = getattr(factory, "requires", None)
    if isinstance(requires, frozenset):
        lines += ["", f"  required capabilities: {', '.join(sorted(requires))}"]
    if inspect.isclass(factory) and issubclass(factory, Plugin):
        for roles, how in ((factory.roles, "role"), (factory.optional_roles, "optional role")):
            # A property has no roles before there are settings.
            named = roles.items() if isinstance(roles, Mapping) else ()
            lines += [f"  {how} {role!r}: requires {', '.join(sorted(abilities))}" for role, abilities in named]
    return "\n".join(lines)
