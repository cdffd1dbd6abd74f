"""The description of a plugin."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from ..api.errors import UnknownName, suggest_name
from ..api.plugins import Plugin
from ..api.registry import GROUPS, Entry, Registry, list_parameters
from ..api.task import TaskFiles
from ..scorecard.measures import MEASURES


def describe(registry: Registry, name: str) -> str:
    """Return docstring, settings and origin of every plugin with the name, the meaning of a row, or the keys of a family of
    tasks. Raises `UnknownName`."""
    found = [entry for group in GROUPS for entry in registry.entries(group) if entry.name == name]
    if not found and name in MEASURES:
        return describe_measure(name)
    if not found:
        files = registry.get("tasks", "file").load()
        families = files.families() if isinstance(files, TaskFiles) else ()
        if isinstance(files, TaskFiles) and name in families:
            return describe_family(files, name)
        known = [*(entry.name for group in GROUPS for entry in registry.entries(group)), *MEASURES, *families]
        raise UnknownName(
            f"there is no plugin, row or family {name!r}.{suggest_name(name, known)} 'windtunnel list' shows all plugins. "
            f"Families of tasks: {', '.join(families)}."
        )
    return "\n\n".join(_describe(entry) for entry in found)


def describe_family(files: TaskFiles, name: str) -> str:
    """Return the description of a family of tasks, and the keys of its task files."""
    described, settings = files.find_family(name)
    lines = [f"{name}  (family of tasks; a task file has the key 'family: {name}')", ""]
    lines += [f"  {line}".rstrip() for line in described.splitlines()]
    lines += ["", "  settings:", *(f"    {parameter}" for parameter in settings.values())]
    return "\n".join([*lines, "", f"  tasks: {', '.join(files.members(name)) or 'none installed'}"])


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
