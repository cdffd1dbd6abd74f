"""Names to lazily loaded plugins, by entry point or by file. Built-in plugins come through the same door as anybody's."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ..identity.code import collect_code, file_of, target_folders
from ..system.interrupts import is_interrupt
from .bases import BASES, derive, require_methods, with_defaults
from .errors import ConfigError, UnknownName, UserError, did_you_mean
from .import_target import run_file

GROUPS = ("tasks", "attacks", "probes", "models", "metrics", "reports", "items")
_ENTRY_POINTS = {f"windtunnel.{group}": group for group in GROUPS}
T = TypeVar("T")

_ENTRY_KEYS = ("name", "models", "tasks", "limit", "threat", "settings")
"""What a suite's entry may say beside the plugin's settings: a slip there is taken for a setting first."""

_CHECKED = ("attacks", "probes")
"""Groups whose settings are held against their annotations; a task's come from fields of data, and its family checks them."""

_open_files: list[list[tuple[str, str, Any]]] = []
"""The plugins (group, name, object) of each plugin file that is running; the last file runs inside of those before it."""

_defined: dict[tuple[str, str], Any] = {}
"""The plugins that this process defined elsewhere: in a notebook, a script or a module that one of them imported."""


def plugin(group: str, name: str, /) -> Callable[[T], T]:
    """Mark a class, or a function that makes one, as the plugin ``name`` of ``group``.

    In a plugin file it belongs to the runs that are given the file; anywhere else, as in a cell of a notebook, to all later runs
    of this process. A cell that is executed again replaces its plugin. Raises `ConfigError` where there is no such group, or the
    name is that of an installed plugin.
    """
    if group not in GROUPS:
        raise ConfigError(f"no plugin group {group!r}; the groups are {', '.join(GROUPS)}")

    def mark(obj: T) -> T:
        if _open_files:
            _open_files[-1].append((group, name, obj))
            return obj
        for entry in _reachable():
            if (entry.group, entry.name) == (group, name):
                raise _taken(entry, "this process")
        _defined[group, name] = obj
        return obj

    return mark


@dataclass(frozen=True, slots=True)
class Entry:
    """One plugin. ``origin``: the distribution and version, or the file and the hash of it and of the local files
    that it imports, that it came from."""

    group: str
    name: str
    origin: str
    _load: Callable[[], Any]
    _target: str = ""

    def load(self) -> Any:
        """Import the plugin's class, with the defaults of its group's base class, or the function that makes it."""
        try:
            loaded = self._load()
            # What a class looks up in another object is known only when it is made.
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
        """Where it is defined, ``module:attribute``."""
        return self._target


@cache
def _installed(path: tuple[str, ...]) -> tuple[Entry, ...]:
    """All entry points of the distributions on this path, of each name the first one's. Descriptions are read where there are plugins."""
    found: dict[str, list[Entry]] = {}
    for dist in importlib.metadata.distributions(path=list(path)):
        points = [point for point in dist.entry_points if point.group in _ENTRY_POINTS]
        if points and (name := dist.name) not in found:
            origin = f"{name} {dist.version}"
            found[name] = [Entry(_ENTRY_POINTS[p.group], p.name, origin, p.load, p.value) for p in points]
    return tuple(entry for entries in found.values() for entry in entries)


def origin_of(path: Path, /) -> str:
    """A plugin file by its name and the hash of what is in it and in the local files that it imports, as records name it."""
    return f"{path.name} sha256:{collect_code(path).digest[:12]}"


class Registry:
    """All plugins known to this process: entry points found on first use, and the files given to it."""

    def __init__(self, files: tuple[str | Path, ...] = ()) -> None:
        self._entries: dict[str, dict[str, Entry]] = {group: {} for group in GROUPS}
        self._files: list[Path] = []
        self._origins: dict[tuple[str, str], list[str]] = {}
        for entry in _reachable():
            self._entries[entry.group][entry.name] = entry
            self._origins.setdefault((entry.group, entry.name), []).append(entry.origin)
        for file in dict.fromkeys(Path(file).resolve() for file in files):
            self._add_file(file)
        for (group, name), obj in _defined.items():
            # A script may give itself as a plugin file.
            if file_of(obj) not in self._files:
                self.add_object(group, name, obj, obj)

    @classmethod
    def of_run(cls, recorded: Collection[str], files: Iterable[str | Path], /) -> Registry:
        """For views of records, which load no code by themselves: entry points, and those files that are given.

        ``recorded``: the origins of the plugin files that the run was made with. Raises `ConfigError` where a file is none of these.
        """
        given = [Path(file) for file in files]
        for file in given:
            if file.is_file() and origin_of(file) not in recorded:
                made_with = ", ".join(recorded) or "no plugin file"
                raise ConfigError(f"the run was made with {made_with}, not with {origin_of(file)}; give the file as it was then")
        return cls(tuple(given))

    def _add_file(self, path: Path) -> None:
        if not path.is_file():
            raise ConfigError(f"there is no plugin file {path}")
        before = _list_classes()
        defined: list[tuple[str, str, Any]] = []
        _open_files.append(defined)
        try:
            run_file(path, f"windtunnel_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}")
        except ConfigError:
            raise
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise ConfigError(f"the plugin file {path} raised at import: {type(error).__name__}: {error}") from error
        finally:
            _open_files.pop()
        self._check_names(before)
        self._files.append(path)
        if not defined:
            raise ConfigError(f"{path} defines no plugin; decorate a class with @plugin('attacks', 'my_name')")
        origin = origin_of(path)
        for group, name, obj in defined:
            try:
                self.add(group, name, obj, origin, target=f"{path.name}:{name}")
            except ConfigError as error:
                raise ConfigError(f"{path}: {error}") from error

    def _check_names(self, before: Mapping[str, type]) -> None:
        """Raises `ConfigError` where a file has replaced a class of one of the other files."""
        now = _list_classes()
        for what, cls in before.items():
            first, second = file_of(cls), file_of(now.get(what, cls))
            if first is not None and second is not None and first != second and first in self._files:
                raise ConfigError(f"{origin_of(second)} brings the {what}, as {origin_of(first)} does; give one of them another name")

    def add(self, group: str, name: str, factory: Any, origin: str, /, target: str = "") -> None:
        """Make an object of this process a plugin of this registry alone. factory: makes it from its settings. origin: where it comes from,
        as records name it. target: where it is defined, ``file:name``. Raises `ConfigError` where the name is taken."""
        if name in self._entries[group]:
            raise _taken(self._entries[group][name], origin)
        self._entries[group][name] = Entry(group, name, origin, _constant(factory), target)

    def add_object(self, group: str, name: str, obj: object, factory: Any, /) -> None:
        """`add` a factory whose origin is the class, the state and the code of an object of this process."""
        # Not on top: a list of plugins needs no numpy.
        from ..identity.programs import name_origin

        self.add(group, name, factory, name_origin(obj))

    def names(self, group: str, /) -> list[str]:
        return sorted(self._entries[group])

    def entries(self, group: str, /) -> Iterator[Entry]:
        for name in self.names(group):
            yield self._entries[group][name]

    def get(self, group: str, name: str, /) -> Entry:
        """Find the plugin of that name. Raises `UnknownName` where there is none, `ConfigError` where two packages bring one."""
        known = self._entries[group]
        if name not in known:
            raise UnknownName(
                f"there is no {group[:-1]} {name!r}.{did_you_mean(name, known)} 'windtunnel list {group}' shows all {len(known)}."
            )
        if len(origins := self._origins.get((group, name), ())) > 1:
            raise ConfigError(f"several packages bring {group} of the name {name!r}: {', '.join(origins)}; uninstall all but one of them")
        return known[name]

    def make(self, group: str, name: str, /, **params: Any) -> Any:
        """Build the plugin with its settings, an instance of its group's base class.

        Raises `ConfigError`: a setting that it does not have, with those that it has; a method that it lacks; what it raises itself."""
        factory = self.get(group, name).load()
        what = f"{group[:-1]} {name!r}"
        try:
            accepted = parameters(factory)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{what} is a {type(factory).__name__}, and not a class or function that makes one") from error
        for key in params:
            if accepted is not None and key not in accepted:
                known = list(accepted)
                raise ConfigError(
                    f"{what} has no setting {key!r}.{did_you_mean(key, [*known, *_ENTRY_KEYS])} Its settings: {', '.join(known) or 'none'}."
                )
        lacking = [
            key for key, p in (accepted or {}).items() if p.default is p.empty and p.kind is not p.POSITIONAL_ONLY and key not in params
        ]
        if lacking:
            raise ConfigError(
                f"{what} needs {' and '.join(map(repr, lacking))}. Settings are given in a suite, where its entry is a mapping: "
                f"{{{group[:-1]}: {name}{':...' if group == 'models' else ''}, {lacking[0]}: ...}}"
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


def _reachable() -> tuple[Entry, ...]:
    """All entry points but those beside a target's file."""
    return _installed(tuple(place for place in sys.path if place not in target_folders))


def _taken(there: Entry, origin: str) -> ConfigError:
    what = f"the {there.group[:-1]} {there.name!r} is there already (from {there.origin})"
    return ConfigError(f"{what}; give yours (from {origin}) another name")


def _list_classes() -> dict[str, type]:
    """The classes that are known by their names as soon as they are defined: modalities, requests and responses."""
    # Not on top: a list of plugins needs no arrays.
    from ..modalities.base import modalities
    from .requests import list_classes

    found: dict[str, type] = {f"class {name!r} of a request or response": cls for name, cls in list_classes().items()}
    return found | {f"modality {modality.name!r}": type(modality) for modality in modalities()}


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def parameters(factory: Any, /) -> dict[str, inspect.Parameter] | None:
    """A factory's keyword settings, or None when it takes any."""
    found = inspect.signature(factory).parameters
    if any(p.kind is p.VAR_KEYWORD for p in found.values()):
        return None
    return {name: p for name, p in found.items() if p.kind is not p.VAR_POSITIONAL}
