"""A digest of a Python object by what it holds, whatever its class: numbers, arrays, weights, attributes, closures, hooks, code.

Two objects that behave alike because they were made alike have one digest, in any process, folder and on any device. What cannot be looked
into (a socket, a generator, a lock that matters) is listed, so that nobody takes the digest for the whole.
"""

from __future__ import annotations

import copyreg
import enum
import functools
import hashlib
import logging
import random
import sys
import threading
import types
import weakref
from collections.abc import Iterator, Mapping, Set
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from .code import data_file, file_of, is_library, local_code
from .digests import of_file, of_parts
from .libraries import version_of
from .torch_values import parts_of_torch

_PLAIN = (bool, int, float, complex, str, bytes, bytearray, range, slice, type(None), type(...), type(NotImplemented))
_NEUTRAL = (logging.Logger, type(threading.Lock()), type(threading.RLock()), threading.local, weakref.ref, weakref.WeakKeyDictionary,
            weakref.WeakValueDictionary, weakref.WeakSet)  # fmt: skip
"""What no answer depends on: its kind alone counts."""

_LONGEST_PATH = 4096


class Look:
    """One look at one or several objects. ``unknown``: what could not be looked into, as paths from where the look began.

    ``writes``: whether the program writes files, which may then be those that it names.
    """

    def __init__(self, *, writes: bool = False) -> None:
        self.unknown: dict[str, str] = {}
        self._writes = writes
        self._known: dict[int, tuple[Any, str]] = {}
        self._open: dict[int, int] = {}

    def digest(self, value: Any, where: str = "it", /) -> str:
        """SHA-256, in hex. ``where``: what to call the object in `unknown`."""
        if isinstance(value, _PLAIN) and type(value).__module__ == "builtins":
            return self._plain(value)
        key = id(value)
        if key in self._known:
            return self._known[key][1]
        if key in self._open:
            # A cycle: what stands so many levels up.
            return of_parts(("cycle", len(self._open) - self._open[key]))
        self._open[key] = len(self._open)
        try:
            made = of_parts(self._parts(value, where))
        except RecursionError:
            self.give_up(where, "is nested too deeply")
            made = "unknown"
        finally:
            del self._open[key]
        # The object is held, so that no other gets its number meanwhile.
        self._known[key] = (value, made)
        return made

    def _plain(self, value: Any) -> str:
        if isinstance(value, str) and len(value) < _LONGEST_PATH and PurePath(value).is_absolute():
            return of_parts(self._path(value))
        return of_parts((type(value).__name__, repr(value)))

    def _path(self, path: str) -> tuple[str, str, str]:
        """Where a thing lies says nothing: the name counts, and the content of a file that may be read."""
        read = data_file(path, Path(), self._writes)
        return "path", PurePath(path).name, of_file(read) if read is not None else ""

    def give_up(self, where: str, why: str) -> None:
        self.unknown[where] = why

    # ── by kind ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _parts(self, value: Any, where: str) -> Iterator[object]:
        """What the object's digest is made of: the name of its kind, then its content."""
        if isinstance(value, _NEUTRAL):
            yield from ("neutral", type(value).__name__)
        elif isinstance(value, type):
            yield from self._class(value, where)
        elif isinstance(value, types.ModuleType):
            yield from self._module(value)
        elif isinstance(value, types.FunctionType):
            yield from self._function(value, where)
        elif isinstance(value, types.MethodType):
            yield from ("method", self.digest(value.__func__, where), self.digest(value.__self__, f"{where}.__self__"))
        elif isinstance(
            value, types.BuiltinFunctionType | types.MethodWrapperType | types.MethodDescriptorType | types.WrapperDescriptorType
        ):
            # A method of an object, or a function of a module that is written in C.
            owner = getattr(value, "__self__", None)
            bound = "" if owner is None or isinstance(owner, types.ModuleType | type) else self.digest(owner, f"{where}.__self__")
            yield from ("built-in", str(value.__module__ if hasattr(value, "__module__") else ""), value.__qualname__, bound)
        elif isinstance(value, types.CodeType):
            yield from self._code(value, where)
        elif isinstance(value, functools.partial):
            yield from ("partial", *(self.digest(part, f"{where}.{name}") for name, part in _of_partial(value)))
        elif isinstance(value, staticmethod | classmethod):
            yield from (type(value).__name__, self.digest(value.__func__, where))
        elif isinstance(value, property):
            yield from ("property", *(self.digest(part, where) for part in (value.fget, value.fset)))
        elif isinstance(value, types.CellType):
            yield from ("cell", self.digest(value.cell_contents, where) if _is_filled(value) else "empty")
        elif isinstance(value, random.Random | np.random.Generator | np.random.RandomState | np.random.BitGenerator):
            self.give_up(where, f"draws at random ({type(value).__name__}), so that its answers depend on what was asked before")
        elif (parts := parts_of_torch(self, value, where)) is not None:
            yield from parts
        else:
            yield from self._content(value, where)

    def _content(self, value: Any, where: str) -> Iterator[object]:
        """Containers, arrays and objects of classes."""
        if isinstance(value, enum.Enum):
            yield from ("enum", self.digest(type(value), where), value.name)
        elif isinstance(value, PurePath):
            yield from self._path(str(value)) if value.is_absolute() else ("path", str(value))
        elif isinstance(value, np.ndarray):
            yield from ("array", str(value.dtype), value.shape)
            yield from (
                (self.digest(v, where) for v in value.ravel().tolist())
                if value.dtype.hasobject
                else (hashlib.sha256(value.tobytes()).hexdigest(),)
            )
        elif isinstance(value, np.generic | np.dtype):
            yield from ("numpy", str(getattr(value, "dtype", "dtype")), repr(value))
        elif type(value) in (tuple, list):
            yield from (type(value).__name__, *(self.digest(v, f"{where}[{n}]") for n, v in enumerate(value)))
        elif type(value) in (set, frozenset):
            yield from ("set", *sorted(self.digest(v, where) for v in value))
        elif isinstance(value, types.MappingProxyType) or type(value) is dict:
            yield from ("dict", *self.pairs(value, where))
        else:
            yield from self._object(value, where)

    def pairs(self, mapping: Mapping[Any, Any], where: str) -> Iterator[str]:
        for key, value in mapping.items():
            yield self.digest(key, f"{where} key")
            yield self.digest(value, f"{where}.{key}" if isinstance(key, str) and key.isidentifier() else f"{where}[{key!r:.40}]")

    def _object(self, value: Any, where: str) -> Iterator[object]:
        """An instance: its class, what its container holds where it is one, and its attributes; else what it would be pickled as."""
        yield from ("object", self.digest(type(value), where))
        held = False
        if isinstance(value, Mapping) and isinstance(value, dict):
            yield from self.pairs(dict(value.items()), where)
            held = True
        elif isinstance(value, tuple | list):
            yield from (self.digest(v, f"{where}[{n}]") for n, v in enumerate(value))
            held = True
        elif isinstance(value, Set):
            yield from sorted(self.digest(v, where) for v in value)
            held = True
        elif isinstance(value, str | int | float | bytes):
            yield repr(value.__reduce_ex__(2)[1:2]) if not isinstance(value, str) else str.__str__(value)
            held = True
        attributes = None if _pickles_itself(type(value)) and not _is_local(value) else _attributes(value)
        if attributes is not None:
            yield from self.pairs(attributes, where)
        elif not held:
            yield from self._reduced(value, where)

    def _reduced(self, value: Any, where: str) -> Iterator[str]:
        try:
            known = copyreg.dispatch_table.get(type(value))
            reduced = known(value) if known is not None else value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001 - an object's own code says that it cannot be copied
            self.give_up(where, f"is a {type(value).__module__}.{type(value).__qualname__}, into which nobody can look")
            return
        if isinstance(reduced, str):
            yield self.digest(reduced, where)
            return
        for part in reduced:
            yield self.digest(list(part) if isinstance(part, Iterator) else part, where)

    # ── code ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _named(self, value: Any) -> tuple[str, ...]:
        """The object's name in its library, with the version; of a local one the name in its file, and the file's code."""
        name = getattr(value, "__qualname__", type(value).__qualname__)
        code = local_code(value)
        if code is not None:
            return ("local", name, code.digest, *(f"{library} {version_of(library)}" for library in code.libraries))
        if _is_local(value):
            return ("local", name)
        module = str(getattr(value, "__module__", "") or "")
        if _is_local(sys.modules.get(module)):
            # Made by a library for a user's own: a dataclass's methods.
            return ("library", name)
        top = module.partition(".")[0]
        return ("library", module, name, version_of(top) if top not in sys.stdlib_module_names else "")

    def _class(self, value: type, where: str) -> Iterator[object]:
        yield from ("class", *self._named(value))
        if _is_local(value):
            yield from (self.digest(base, f"{where}.{base.__name__}") for base in value.__bases__)
            yield from self.pairs({k: v for k, v in vars(value).items() if _is_decisive(k, v)}, value.__qualname__)

    def _module(self, value: types.ModuleType) -> Iterator[object]:
        code = local_code(value)
        yield from ("module", value.__name__.rpartition(".")[2], code.digest if code else version_of(value.__name__.partition(".")[0]))

    def _function(self, value: types.FunctionType, where: str) -> Iterator[object]:
        yield from ("function", *self._named(value))
        # A library's decorator is no user's code, and holds it.
        for name, part in (("defaults", value.__defaults__), ("keyword defaults", value.__kwdefaults__), ("closure", value.__closure__)):
            yield self.digest(part, f"{where} {name}")
        yield from self.pairs(dict(vars(value)), where)
        if _is_local(value):
            yield self.digest(value.__code__, where)
            yield from self._globals(value, where)

    def _globals(self, value: types.FunctionType, where: str) -> Iterator[object]:
        """What the function reads of its module, and of the local modules that it reads there."""
        names = sorted(_names(value.__code__))
        for name in names:
            if name not in value.__globals__:
                continue
            found = value.__globals__[name]
            yield name
            yield self.digest(found, name)
            if isinstance(found, types.ModuleType) and local_code(found) is not None:
                inner = {part: vars(found)[part] for part in names if part in vars(found)}
                yield from self.pairs(inner, name)
        if changed := _assigned_globals(value.__code__):
            self.give_up(where, f"changes {', '.join(sorted(changed))} of its module while it answers")

    def _code(self, value: types.CodeType, where: str) -> Iterator[object]:
        yield from ("code", value.co_name, value.co_code, value.co_names, value.co_varnames, value.co_freevars, value.co_flags)
        yield from (self.digest(constant, where) for constant in value.co_consts)


def _of_partial(value: functools.partial[Any]) -> Iterator[tuple[str, Any]]:
    yield from (("func", value.func), ("args", value.args), ("keywords", value.keywords), ("attributes", dict(vars(value))))


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - reading an empty one raises
    except ValueError:
        return False
    return True


def _is_local(value: Any) -> bool:
    """Whether it is a user's own. What no file defines (a dataclass's ``__init__``) belongs to whoever's module it is made in."""
    if value is None:
        return False
    if isinstance(value, types.FunctionType) and Path(value.__code__.co_filename).is_file():
        return not is_library(Path(value.__code__.co_filename))
    file = file_of(value)
    if file is None:
        module = sys.modules.get(getattr(value, "__module__", None) or "")
        place = getattr(module, "__file__", None)
        file = Path(place) if place else None
        if module is not None and file is None:
            return module.__name__ == "__main__"
    return file is None or not is_library(file)


def _is_decisive(name: str, value: Any) -> bool:
    """Of what stands in a class: its functions and data, not what Python or a decorator keeps there."""
    if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType) or name == "_abc_impl":
        return False
    return isinstance(value, types.FunctionType) or not (name.startswith("__") and name.endswith("__"))


def _pickles_itself(cls: type) -> bool:
    return any(getattr(cls, name, None) is not getattr(object, name, None) for name in ("__reduce_ex__", "__reduce__", "__getstate__"))


def _attributes(value: Any) -> dict[str, Any] | None:
    """Its ``__dict__`` and slots; None where it has neither."""
    slots = [
        name for cls in type(value).__mro__ for name in _listed(vars(cls).get("__slots__", ())) if name not in ("__dict__", "__weakref__")
    ]
    if not hasattr(value, "__dict__") and not slots:
        return None
    found = dict(vars(value)) if hasattr(value, "__dict__") else {}
    found |= {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return found or None if _pickles_itself(type(value)) else found


def _listed(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _inner(constant)


def _names(code: types.CodeType) -> set[str]:
    return {name for part in _inner(code) for name in part.co_names}


def _assigned_globals(code: types.CodeType) -> set[str]:
    import dis

    return {
        str(step.argval) for part in _inner(code) for step in dis.get_instructions(part) if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")
    }  # fmt: skip


def changes_itself(value: Any, /) -> list[str]:
    """How a called object changes what it answers from while it answers: attributes of its own that its ``__call__`` sets, variables around
    a function that it sets. What a module of torch keeps from a pass is left to the drift checks."""
    import dis

    call = value if isinstance(value, types.FunctionType | types.MethodType) else type(value).__call__ if callable(value) else None
    function = getattr(call, "__func__", call)
    if not isinstance(function, types.FunctionType) or not _is_local(function):
        return []
    steps = [(part, step) for part in _inner(function.__code__) for step in dis.get_instructions(part)]
    found = [
        f"sets {step.argval!r} around itself"
        for part, step in steps
        if step.opname == "STORE_DEREF" and step.argval in function.__code__.co_freevars
    ]
    if not isinstance(value, types.FunctionType):
        found += [f"sets its attribute {step.argval!r}" for part, step in steps if step.opname == "STORE_ATTR"]
    return [f"{what} while it answers" for what in dict.fromkeys(found)]


def state_of(value: Any, name: str = "it", *, writes: bool = False) -> tuple[str, list[str]]:
    """The digest of an object, and a sentence for each part of it that could not be looked into."""
    look = Look(writes=writes)
    made = look.digest(value, name)
    return made, [f"{where} {why}" for where, why in look.unknown.items()]
