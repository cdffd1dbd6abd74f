"""The defaults of the base classes for plugins that do not derive from them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any, TypeVar, cast

from .attack import Attack
from .errors import ConfigError
from .model_source import ModelSource
from .plugins import get_alternative, gives
from .probe import Probe
from .report import Report
from .task import Task

BASES: dict[str, type] = {"tasks": Task, "attacks": Attack, "probes": Probe, "models": ModelSource, "reports": Report}
"""The base class of each group of plugins."""

B = TypeVar("B")


def with_defaults(made: object, base: type[B], /) -> B:
    """Return the plugin with the attributes and methods of its base class.

    made: the plugin. It is returned unchanged if its class derives from ``base``; otherwise the result shares its attributes, and its
        class derives from both.
    base: the base class of the plugin's group.
    Raises `ConfigError` if the plugin's class cannot be subclassed.
    """
    if isinstance(made, base):
        return made
    delegated = {name: value for name in _list_public(base) if (value := _find_delegated(made, name)) is not None}
    kind = _make_class(type(made), base, delegated) if delegated else derive(type(made), base)
    try:
        adopted = cast(B, object.__new__(kind))
    except TypeError as error:
        raise _make_subclass_error(type(made), base, error) from error
    if hasattr(made, "__dict__"):
        # Share the attributes instead of copying them: the owner of the object sees changes made during the run.
        object.__setattr__(adopted, "__dict__", made.__dict__)
    for name in _list_slots(type(made)):
        if hasattr(made, name):
            object.__setattr__(adopted, name, getattr(made, name))
    return adopted


def derive(kind: type, base: type, /) -> type:
    """Return a class that derives from a plugin's class and from a base class, with the plugin's name, module, docstring and signature.

    kind: the plugin's class, which is returned unchanged if it derives from ``base``.
    Raises `ConfigError` if it cannot be subclassed.
    """
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
        raise _make_subclass_error(kind, base, error) from error


def _make_subclass_error(kind: type, base: type, error: TypeError) -> ConfigError:
    what = f"the class {kind.__qualname__} does not derive from {base.__name__}, and the defaults cannot be added to it ({error})"
    return ConfigError(f"{what}; derive its class from windtunnel.{base.__name__}")


def _list_public(base: type) -> list[str]:
    return [name for name in dir(base) if not name.startswith("_")]


def _find_delegated(made: object, name: str) -> Any:
    """Return the attribute that a wrapper object delegates with its class's ``__getattr__``; None if there is none."""
    if not hasattr(type(made), "__getattr__") or hasattr(type(made), name) or name in getattr(made, "__dict__", {}):
        return None
    value = getattr(made, name, None)
    return staticmethod(value) if isinstance(value, FunctionType) else value


def _list_slots(kind: type) -> list[str]:
    named = [vars(part).get("__slots__", ()) for part in kind.__mro__]
    every = [name for names in named for name in ((names,) if isinstance(names, str) else names)]
    return [name for name in every if name not in ("__dict__", "__weakref__")]


def require_methods(what: str, made: object, base: type, /) -> None:
    """Check that a plugin defines the methods and attributes without a default in its base class.

    what: the plugin's name in the error, e.g. ``attack 'pgd'``.
    made: the plugin, with the defaults of ``base``.
    Raises `ConfigError` with the names of those that are missing.
    """
    if missing := list(_find_missing(made, base)):
        raise ConfigError(f"the {what} has no {', '.join(missing)}; see {base.__module__} for what a plugin defines")
    for method in (getattr(base, name) for name in _list_public(base)):
        if isinstance(method, FunctionType) and gives(made, method) and not _takes(getattr(made, method.__name__), method):
            raise ConfigError(f"the {what} cannot be called as {_sign(method)}; give its method these parameters, in this order")


def _find_missing(made: object, base: type) -> Iterator[str]:
    own = [name for name in _list_public(type(made)) if name not in {*dir(base), *_list_declared(base)}]
    yield from (f"{name!r}{_suggest(name, own)}" for name in _list_declared(base) if not hasattr(made, name))
    for method in (getattr(type(made), name) for name in own):
        # A class between the base class and the plugin may leave a method to the plugin.
        if isinstance(method, FunctionType) and getattr(method, "__isabstractmethod__", False):
            yield f"{_sign(method)}{_suggest(method.__name__, own)}"
    for method in (getattr(base, name) for name in _list_public(base)):
        if not isinstance(method, FunctionType) or gives(made, method):
            continue
        other = get_alternative(method)
        if other and not gives(made, getattr(base, other)):
            yield f"{_sign(method)}{_suggest(method.__name__, own)} or {_sign(getattr(base, other))}{_suggest(other, own)}"
        elif getattr(method, "__isabstractmethod__", False):
            yield f"{_sign(method)}{_suggest(method.__name__, own)}"


def _suggest(name: str, own: Sequence[str]) -> str:
    """Return the plugin's own attribute that may be a misspelling of a name, in brackets."""
    close = difflib.get_close_matches(name, [other for other in own if other != name], n=1, cutoff=0.75)
    return f" (is {close[0]!r} meant?)" if close else ""


def _sign(method: FunctionType) -> str:
    """Return the name of a method with its parameters, such as ``'score(sample, responses)'``."""
    return repr(f"{method.__name__}({', '.join(list(inspect.signature(method).parameters)[1:])})")


def _takes(own: Any, method: FunctionType) -> bool:
    """Tell whether a plugin's method accepts the parameters of the base class's ``method``; it may leave out those with a default."""
    parameters = [p for p in list(inspect.signature(method).parameters.values())[1:] if p.default is p.empty]
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_name = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    try:
        inspect.signature(own).bind(*by_place, **dict.fromkeys(by_name))
    except TypeError:
        return False
    except ValueError:  # a function in C may not tell
        return True
    return True


def _list_declared(base: type) -> list[str]:
    """List the attributes that a base class declares without a default."""
    return [name for part in base.__mro__ for name in inspect.get_annotations(part) if not hasattr(base, name)]
