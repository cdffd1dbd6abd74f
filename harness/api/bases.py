"""The defaults of the base classes for plugins that do not derive from them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any, TypeVar, cast

from .attack import Attack
from .errors import ConfigError
from .plugins import gives, instead_of
from .probe import Probe
from .report import Report
from .task import Task

BASES: dict[str, type] = {"tasks": Task, "attacks": Attack, "probes": Probe, "reports": Report}
"""The base class of each group of plugins."""

B = TypeVar("B")


def with_defaults(made: object, base: type[B], /) -> B:
    """Return an object that has the attributes and methods of a base class: the object itself where its class derives from it, else one
    with the same attributes whose class derives from both.

    Raises `ConfigError` where the class cannot be derived from.
    """
    if isinstance(made, base):
        return made
    delegated = {name: value for name in _list_public(base) if (value := _find_delegated(made, name)) is not None}
    kind = _make_class(type(made), base, delegated) if delegated else derive(type(made), base)
    try:
        adopted = cast(B, object.__new__(kind))
    except TypeError as error:
        raise _misfit(type(made), base, error) from error
    if hasattr(made, "__dict__"):
        # Shared and not copied: what the object learns while it runs, its owner sees.
        object.__setattr__(adopted, "__dict__", made.__dict__)
    for name in _list_slots(type(made)):
        if hasattr(made, name):
            object.__setattr__(adopted, name, getattr(made, name))
    return adopted


def derive(kind: type, base: type, /) -> type:
    """Return a class that derives from a plugin's class and from a base class, of the same name, module, docstring and signature; the
    class itself where it derives from the base class. Raises `ConfigError` where it cannot be derived from."""
    if issubclass(kind, base):
        return kind
    if (kind, base) not in _known:
        _known[kind, base] = _make_class(kind, base, {})
    return _known[kind, base]


_known: dict[tuple[type, type], type] = {}


def _make_class(kind: type, base: type, own: Mapping[str, object]) -> type:
    about = {
        "__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": inspect.getdoc(kind) or "", "__wrapped__": kind,
        "__slots__": (),
    }  # fmt: skip
    try:
        return type(kind)(kind.__name__, (kind, base), {**about, **own})
    except TypeError as error:
        raise _misfit(kind, base, error) from error


def _misfit(kind: type, base: type, error: TypeError) -> ConfigError:
    what = f"an object of the class {kind.__qualname__} is no {base.__name__}, and cannot be made one ({error})"
    return ConfigError(f"{what}; derive its class from windtunnel.{base.__name__}")


def _list_public(base: type) -> list[str]:
    return [name for name in dir(base) if not name.startswith("_")]


def _find_delegated(made: object, name: str) -> Any:
    """What an object finds by its class's ``__getattr__`` alone (it wraps another one); None where there is nothing."""
    if not hasattr(type(made), "__getattr__") or hasattr(type(made), name) or name in getattr(made, "__dict__", {}):
        return None
    value = getattr(made, name, None)
    return staticmethod(value) if isinstance(value, FunctionType) else value


def _list_slots(kind: type) -> list[str]:
    named = [vars(part).get("__slots__", ()) for part in kind.__mro__]
    every = [name for names in named for name in ((names,) if isinstance(names, str) else names)]
    return [name for name in every if name not in ("__dict__", "__weakref__")]


def require_methods(what: str, made: object, base: type, /) -> None:
    """Raise `ConfigError` with the methods and attributes that a plugin lacks and its base class has no default for.

    ``what``: how the error calls the plugin, e.g. ``attack 'pgd'``. ``made``: the plugin, with the defaults of ``base``.
    """
    if lacks := list(_find_lacks(made, base)):
        raise ConfigError(f"the {what} has no {', '.join(lacks)}; {base.__module__} says what a plugin needs")


def _find_lacks(made: object, base: type) -> Iterator[str]:
    yield from (repr(name) for name in _list_declared(base) if not hasattr(made, name))
    for method in (getattr(base, name) for name in _list_public(base)):
        if not isinstance(method, FunctionType) or gives(made, method):
            continue
        other = instead_of(method)
        if other and not gives(made, getattr(base, other)):
            yield f"{method.__name__!r} or {other!r}"
        elif getattr(method, "__isabstractmethod__", False):
            yield repr(method.__name__)


def _list_declared(base: type) -> list[str]:
    """The attributes that a base class declares without a default."""
    return [name for part in base.__mro__ for name in inspect.get_annotations(part) if not hasattr(base, name)]
