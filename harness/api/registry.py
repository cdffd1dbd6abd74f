"""The registry of plugins, loaded lazily from entry points or files. Built-in plugins are registered by entry points as well."""

from __future__ import annotations

import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ..identity.code import collect_code, find_file, target_folders
from ..system.interrupts import is_interrupt
from .bases import BASES, derive, require_methods, with_defaults
from .errors import ConfigError, UnknownName, UserError, suggest_name
from .imported_files import ImportedFile, import_file, list_classes, record_plugin
from .task import TaskFiles

GROUPS = ("tasks", "attacks", "probes", "models", "metrics", "reports", "items")
_ENTRY_POINTS = {f"windtunnel.{group}": group for group in GROUPS}
T = TypeVar("T")

_ARTICLES = {group: "an" if group[0] in "aeiou" else "a" for group in GROUPS}
_ENTRY_KEYS = ("name", "models", "tasks", "limit", "threat", "settings")
"""The keys of a suite's entry beside the plugin's settings: a misspelt one is read as a setting."""

_CHECKED = ("attacks", "probes", "reports")
"""Groups whose settings are checked against annotations. The settings of a task depend on its data; its family checks them."""

_defined: dict[tuple[str, str], Any] = {}
"""The plugins that this process defined outside of the files that Windtunnel imports: in a notebook, a script or an imported module."""


def plugin(group: str, name: str, /) -> Callable[[T], T]:
    """Register a class, or a function that returns an instance, as the plugin ``name`` of ``group``.

    A plugin in a plugin file is visible to runs that load the file; any other plugin, as in a cell of a notebook, is visible to all later
    runs of this process. Executing a cell again replaces its plugin.

    group: one of `GROUPS`.
    name: the name of the plugin in suites.
    Raises `ConfigError` if there is no such group, or if an installed plugin has this name.
    """
    if group not in GROUPS:
        raise ConfigError(f"no plugin group {group!r}; the groups are {', '.join(GROUPS)}")

    def mark(obj: T) -> T:
        if record_plugin(group, name, obj):
            return obj
        for entry in _list_reachable():
            if (entry.group, entry.name) == (group, name):
                raise _make_name_error(entry, "this process")
        _defined[group, name] = obj
        return obj

    return mark


@dataclass(frozen=True, slots=True)
class Entry:
    """One plugin. ``origin``: its distribution and version, or its file with a hash of the file and of the local files it imports."""

    group: str
    name: str
    origin: str
    _load: Callable[[], Any]
    _target: str = ""

    def load(self) -> Any:
        """Import the plugin's class or factory function. A class gets the defaults of its group's base class."""
        try:
            loaded = self._load()
            # A class with __getattr__ may delegate to another object, which is known only for an instance.
            is_plain = inspect.isclass(loaded) and not hasattr(loaded, "__getattr__")
            return derive(loaded, BASES[self.group]) if self.group in BASES and is_plain else loaded
        except UserError:
            raise
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise ConfigError(
                f"the {self.group[:-1]} {self.name!r} ({self.origin}) cannot be loaded: {type(error).__name__}: {error}"
            ) from error

    @property
    def target(self) -> str:
        """The place of its definition, ``module:attribute``."""
        return self._target


@cache
def _list_installed(path: tuple[str, ...]) -> tuple[Entry, ...]:
    """List the plugins of the distributions on this path; of several distributions with one name, the first counts."""
    found: dict[str, list[Entry]] = {}
    for dist in importlib.metadata.distributions(path=list(path)):
        points = [point for point in dist.entry_points if point.group in _ENTRY_POINTS]
        if points and (name := dist.name) not in found:
            origin = f"{name} {dist.version}"
            found[name] = [Entry(_ENTRY_POINTS[p.group], p.name, origin, p.load, p.value) for p in points]
    return tuple(entry for entries in found.values() for entry in entries)


def describe_origin(path: Path, /) -> str:
    """Return the name of a plugin file and a hash of its content and of the local files it imports, as records keep them."""
    return f"{path.name} sha256:{collect_code(path).digest[:12]}"


class Registry:
    """All plugins that are available in this process: those of entry points, of this process, and of plugin files."""

    def __init__(self, files: tuple[str | Path, ...] = ()) -> None:
        self._entries: dict[str, dict[str, Entry]] = {group: {} for group in GROUPS}
        self._files: list[ImportedFile] = []
        self._origins: dict[tuple[str, str], list[str]] = {}
        for entry in _list_reachable():
            self._entries[entry.group][entry.name] = entry
            self._origins.setdefault((entry.group, entry.name), []).append(entry.origin)
        paths = list(dict.fromkeys(Path(file).resolve() for file in files))
        for path in paths:
            self._add_file(path, paths)
        for (group, name), obj in _defined.items():
            # A script may pass itself as a plugin file.
            if find_file(obj) not in paths:
                self.add_object(group, name, obj, obj)

    @classmethod
    def of_run(cls, recorded: Collection[str], files: Iterable[str | Path], /) -> Registry:
        """Create the registry for views of a run. Records load no code by themselves, only entry points and the given files.

        ``recorded``: the origins of the run's plugin files. ``files``: plugin files to load.
        Raises `ConfigError` if a file is not one of the run's plugin files.
        """
        paths = [Path(file) for file in files]
        for file in paths:
            if file.is_file() and describe_origin(file) not in recorded:
                used = ", ".join(recorded) or "no plugin file"
                raise ConfigError(f"the run used {used}, not {describe_origin(file)}; pass the file in the version that the run used")
        return cls(tuple(paths))

    def _add_file(self, path: Path, paths: Collection[Path]) -> None:
        """Add the plugins of a file and of the local modules that it imports, except for those of another one of the given files."""
        if not path.is_file():
            raise ConfigError(f"there is no plugin file {path}")
        try:
            file = import_file(path)
        except ConfigError:
            raise
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise ConfigError(f"the plugin file {path} raised at import: {type(error).__name__}: {error}") from error
        self._check_classes(path)
        self._files.append(file)
        # A script or an imported module has defined its plugins for the whole process.
        plugins = file.plugins or tuple((group, name, obj) for (group, name), obj in _defined.items() if find_file(obj) == path)
        if not plugins:
            raise ConfigError(f"{path} defines no plugin; decorate a class with @plugin('attacks', 'my_name')")
        origin = describe_origin(path)
        for group, name, obj in plugins:
            place = find_file(obj)
            if place != path and (place in paths or any((group, name, obj) in other.plugins for other in self._files[:-1])):
                continue
            try:
                self.add(group, name, obj, origin, target=f"{path.name}:{name}")
            except ConfigError as error:
                raise ConfigError(f"{path}: {error}") from error

    def _check_classes(self, path: Path) -> None:
        """Raise `ConfigError` if a file has replaced a class of another plugin file."""
        now = list_classes()
        for file in self._files:
            for what, made in file.classes.items():
                if now.get(what) is not made:
                    raise ConfigError(
                        f"{describe_origin(path)} defines the {what}, and so does {describe_origin(file.path)}; rename one of them"
                    )

    def add(self, group: str, name: str, factory: Any, origin: str, /, target: str = "") -> None:
        """Add a plugin to this registry only.

        factory: creates the plugin from its settings.
        origin: the source of the plugin, as records keep it.
        target: the place of its definition, ``file:name``.
        Raises `ConfigError` if the name is taken.
        """
        if name in self._entries[group]:
            raise _make_name_error(self._entries[group][name], origin)
        self._entries[group][name] = Entry(group, name, origin, _wrap_constant(factory), target)

    def add_object(self, group: str, name: str, obj: object, factory: Any, /) -> None:
        """Add a factory whose origin is derived from the class, the state and the code of ``obj``."""
        # Not on top: a list of plugins needs no numpy.
        from ..identity.programs import name_origin

        self.add(group, name, factory, name_origin(obj))

    def names(self, group: str, /) -> list[str]:
        return sorted(self._entries[group])

    def entries(self, group: str, /) -> Iterator[Entry]:
        for name in self.names(group):
            yield self._entries[group][name]

    def get(self, group: str, name: str, /) -> Entry:
        """Return the plugin with this name. Raises `UnknownName` if there is none, `ConfigError` if several packages define one."""
        known = self._entries[group]
        if name not in known:
            hint = self._explain_kind(group, name) or suggest_name(name, known)
            raise UnknownName(f"there is no {group[:-1]} {name!r}.{hint} 'windtunnel list {group}' shows all {len(known)}.")
        if len(origins := self._origins.get((group, name), ())) > 1:
            raise ConfigError(
                f"several packages define {group} with the name {name!r}: {', '.join(origins)}; uninstall all but one of them"
            )
        return known[name]

    def list_families(self) -> dict[str, list[str]]:
        """Return the families of task files, each with the names of its installed tasks."""
        files = self._entries["tasks"]["file"].load() if "file" in self._entries["tasks"] else None
        return {family: list(files.members(family)) for family in files.families()} if isinstance(files, TaskFiles) else {}

    def _explain_kind(self, group: str, name: str) -> str:
        """Return a sentence, with a leading space, about a name that stands for something else than asked; empty if it is unknown."""
        others = [other for other in GROUPS if other != group and name in self._entries[other]]
        if others:
            return f" {name!r} is the name of {' and '.join(f'{_ARTICLES[other]} {other[:-1]}' for other in others)}."
        families = self.list_families() if group in ("tasks", "attacks", "probes") else {}
        if name not in families:
            return ""
        tasks = f"its tasks: {', '.join(families[name])}" if families[name] else "no installed task is of it"
        return (
            f" {name!r} is a family: a kind of task, which a task file of yours names with 'family: {name}' "
            f"('windtunnel show {name}' shows its keys); {tasks}."
        )

    def make(self, group: str, name: str, /, **params: Any) -> Any:
        """Create the plugin with its settings, as an instance of its group's base class.

        Raises `ConfigError` for an unknown or missing setting, for a missing method, and for an exception of the plugin itself.
        """
        factory = self.get(group, name).load()
        what = f"{group[:-1]} {name!r}"
        try:
            accepted = list_parameters(factory)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{what} is an object of the class {type(factory).__name__}; register a class, or a function that returns an instance"
            ) from error
        for key in params:
            if accepted is not None and key not in accepted:
                known = list(accepted)
                raise ConfigError(
                    f"{what} has no setting {key!r}.{suggest_name(key, [*known, *_ENTRY_KEYS])} Its settings: {', '.join(known) or 'none'}."
                )
        missing = [
            key for key, p in (accepted or {}).items() if p.default is p.empty and p.kind is not p.POSITIONAL_ONLY and key not in params
        ]
        if missing and inspect.isfunction(factory):
            raise ConfigError(
                f"{what} is the function {factory.__name__}({', '.join(accepted or ())}), which is called with its settings and returns "
                f"an instance; register a class instead, or give the setting {missing[0]!r} in the suite"
            )
        if missing:
            raise ConfigError(
                f"{what} requires {' and '.join(map(repr, missing))}. Set it in the plugin's entry of the suite: "
                f"{{{group[:-1]}: {name}{':...' if group == 'models' else ''}, {missing[0]}: ...}}"
            )
        if group in _CHECKED:
            # Not on top: a list of plugins needs no types.
            from .settings import check_settings

            check_settings(what, factory, params)
        try:
            made = factory(**params)
            if group in BASES:
                made = with_defaults(made, BASES[group])
                require_methods(what, made, BASES[group])
            return made
        except UserError:
            raise
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{what} cannot be made from {params}: {error}") from error
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise ConfigError(f"{what} cannot be made from {params}: {type(error).__name__}: {error}") from error


def _list_reachable() -> tuple[Entry, ...]:
    """List the plugins of all entry points except those in the folders of imported targets."""
    return _list_installed(tuple(place for place in sys.path if place not in target_folders))


def _make_name_error(there: Entry, origin: str) -> ConfigError:
    what = f"the {there.group[:-1]} {there.name!r} already exists (from {there.origin})"
    return ConfigError(f"{what}; rename the one from {origin}")


def _wrap_constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def list_parameters(factory: Any, /) -> dict[str, inspect.Parameter] | None:
    """Return the keyword parameters of a factory, by name; None if it accepts any."""
    found = inspect.signature(factory).parameters
    if any(p.kind is p.VAR_KEYWORD for p in found.values()):
        return None
    return {name: p for name, p in found.items() if p.kind is not p.VAR_POSITIONAL}
