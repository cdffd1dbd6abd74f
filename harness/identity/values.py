"""Digests of Python objects by their content: numbers, arrays, weights, attributes, closures, hooks, code.

Two objects that were built in the same way have the same digest, in any process and folder and on any device. Parts
that cannot be inspected (a socket, a generator) are listed, because the digest does not cover them.
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

from .code import collect_local_code, find_data_file, find_file, is_library
from .digests import digest_file, digest_parts
from .hidden_state import find_hidden_state, walk_code
from .libraries import find_version
from .torch_values import list_torch_parts

_PLAIN = (bool, int, float, complex, str, bytes, bytearray, range, slice, type(None), type(...), type(NotImplemented))
_NEUTRAL = (logging.Logger, type(threading.Lock()), type(threading.RLock()), threading.local, weakref.ref, weakref.WeakKeyDictionary,
            weakref.WeakValueDictionary, weakref.WeakSet)  # fmt: skip
"""Types whose content affects no response; only the type enters the digest."""

_LONGEST_PATH = 4096


class ObjectDigester:
    """Computes digests of objects that may share parts.

    unknown: reason by path, for the parts that could not be inspected.
    writes: whether the program writes files; files that it names are then not taken as its input.
    """

    def __init__(self, *, writes: bool = False) -> None:
        self.unknown: dict[str, str] = {}
        self._writes = writes
        self._known: dict[int, tuple[Any, str]] = {}
        self._open: dict[int, int] = {}

    def digest(self, value: Any, where: str = "it", /) -> str:
        """Return the SHA-256 of an object, in hex. ``where``: its path in `unknown`."""
        if isinstance(value, _PLAIN) and type(value).__module__ == "builtins":
            return self._digest_plain(value)
        key = id(value)
        if key in self._known:
            return self._known[key][1]
        if key in self._open:
            # A cycle is identified by the number of levels up to the object.
            return digest_parts(("cycle", len(self._open) - self._open[key]))
        self._open[key] = len(self._open)
        try:
            digest = digest_parts(self._list_parts(value, where))
        except RecursionError:
            self.give_up(where, "is nested too deeply")
            digest = "unknown"
        finally:
            del self._open[key]
        # A reference is kept, so that no other object gets the same id.
        self._known[key] = (value, digest)
        return digest

    def _digest_plain(self, value: Any) -> str:
        if isinstance(value, str) and len(value) < _LONGEST_PATH and PurePath(value).is_absolute():
            return digest_parts(self._list_path_parts(value))
        return digest_parts((type(value).__name__, repr(value)))

    def _list_path_parts(self, path: str) -> tuple[str, str, str]:
        """Return the parts of an absolute path: the name, and the content of a file that the program may read."""
        read = find_data_file(path, Path(), self._writes)
        return "path", PurePath(path).name, digest_file(read) if read is not None else ""

    def give_up(self, where: str, why: str) -> None:
        """Record that a part cannot be inspected."""
        self.unknown[where] = why

    # ── by kind ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _list_parts(self, value: Any, where: str) -> Iterator[object]:
        """Yield the parts of an object's digest: the name of its kind, then its content."""
        if isinstance(value, _NEUTRAL):
            yield from ("neutral", type(value).__name__)
        elif isinstance(value, type):
            yield from self._list_class_parts(value, where)
        elif isinstance(value, types.ModuleType):
            yield from self._list_module_parts(value)
        elif isinstance(value, types.FunctionType):
            yield from self._list_function_parts(value, where)
        elif isinstance(value, types.MethodType):
            yield from ("method", self.digest(value.__func__, where), self.digest(value.__self__, f"{where}.__self__"))
        elif isinstance(
            value, types.BuiltinFunctionType | types.MethodWrapperType | types.MethodDescriptorType | types.WrapperDescriptorType
        ):
            # A method of an object, or a function of a module, implemented in C.
            owner = getattr(value, "__self__", None)
            bound = "" if owner is None or isinstance(owner, types.ModuleType | type) else self.digest(owner, f"{where}.__self__")
            yield from ("built-in", str(value.__module__ if hasattr(value, "__module__") else ""), value.__qualname__, bound)
        elif isinstance(value, types.CodeType):
            yield from self._list_code_parts(value, where)
        elif isinstance(value, functools.partial):
            yield from ("partial", *(self.digest(part, f"{where}.{name}") for name, part in _list_partial(value)))
        elif isinstance(value, staticmethod | classmethod):
            yield from (type(value).__name__, self.digest(value.__func__, where))
        elif isinstance(value, property):
            yield from ("property", *(self.digest(part, where) for part in (value.fget, value.fset)))
        elif isinstance(value, types.CellType):
            yield from ("cell", self.digest(value.cell_contents, where) if _is_filled(value) else "empty")
        elif isinstance(value, random.Random | np.random.Generator | np.random.RandomState | np.random.BitGenerator):
            self.give_up(where, f"draws at random ({type(value).__name__}), so its responses depend on earlier requests")
        elif (parts := list_torch_parts(self, value, where)) is not None:
            yield from parts
        else:
            yield from self._list_content(value, where)

    def _list_content(self, value: Any, where: str) -> Iterator[object]:
        """Containers, arrays and objects of classes."""
        if isinstance(value, enum.Enum):
            yield from ("enum", self.digest(type(value), where), value.name)
        elif isinstance(value, PurePath):
            yield from self._list_path_parts(str(value)) if value.is_absolute() else ("path", str(value))
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
            yield from self._list_instance_parts(value, where)

    def pairs(self, mapping: Mapping[Any, Any], where: str) -> Iterator[str]:
        for key, value in mapping.items():
            yield self.digest(key, f"{where} key")
            yield self.digest(value, f"{where}.{key}" if isinstance(key, str) and key.isidentifier() else f"{where}[{key!r:.40}]")

    def _list_instance_parts(self, value: Any, where: str) -> Iterator[object]:
        """Yield the parts of an instance: its class, its items and its attributes; without these, its pickle state."""
        yield from ("object", self.digest(type(value), where))
        has_content = False
        if isinstance(value, Mapping) and isinstance(value, dict):
            yield from self.pairs(dict(value.items()), where)
            has_content = True
        elif isinstance(value, tuple | list):
            yield from (self.digest(v, f"{where}[{n}]") for n, v in enumerate(value))
            has_content = True
        elif isinstance(value, Set):
            yield from sorted(self.digest(v, where) for v in value)
            has_content = True
        elif isinstance(value, str | int | float | bytes):
            yield repr(value.__reduce_ex__(2)[1:2]) if not isinstance(value, str) else str.__str__(value)
            has_content = True
        attributes = None if _has_own_pickling(type(value)) and not _is_local(value) else _read_attributes(value)
        if attributes is not None:
            yield from self.pairs(attributes, where)
        elif not has_content:
            yield from self._list_reduced(value, where)

    def _list_reduced(self, value: Any, where: str) -> Iterator[str]:
        try:
            known = copyreg.dispatch_table.get(type(value))
            reduced = known(value) if known is not None else value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001 - an object's own code refuses to be copied
            self.give_up(where, f"is a {type(value).__module__}.{type(value).__qualname__}, which cannot be inspected")
            return
        if isinstance(reduced, str):
            yield self.digest(reduced, where)
            return
        for part in reduced:
            yield self.digest(list(part) if isinstance(part, Iterator) else part, where)

    # ── code ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _identify_named(self, value: Any) -> tuple[str, ...]:
        """Identify a class or function: name and version of its library, or, if local, name and code of its file."""
        name = getattr(value, "__qualname__", type(value).__qualname__)
        code = collect_local_code(value)
        if code is not None:
            return ("local", name, code.digest, *(f"{library} {find_version(library)}" for library in code.libraries))
        if _is_local(value):
            return ("local", name)
        module = str(getattr(value, "__module__", "") or "")
        if _is_local(sys.modules.get(module)):
            # Generated by a library for a local class: the methods of a dataclass.
            return ("library", name)
        top = module.partition(".")[0]
        return ("library", module, name, find_version(top) if top not in sys.stdlib_module_names else "")

    def _list_class_parts(self, value: type, where: str) -> Iterator[object]:
        yield from ("class", *self._identify_named(value))
        if _is_local(value):
            yield from (self.digest(base, f"{where}.{base.__name__}") for base in value.__bases__)
            yield from self.pairs({k: v for k, v in vars(value).items() if _is_decisive(k, v)}, value.__qualname__)

    def _list_module_parts(self, value: types.ModuleType) -> Iterator[object]:
        code = collect_local_code(value)
        if code is not None:
            # The name of a module of the user depends on the way it was imported.
            yield from ("module", next(iter(code.files)), code.digest)
        else:
            yield from ("module", value.__name__.rpartition(".")[2], find_version(value.__name__.partition(".")[0]))

    def _list_function_parts(self, value: types.FunctionType, where: str) -> Iterator[object]:
        yield from ("function", *self._identify_named(value))
        # The wrapper of a library's decorator is library code, and holds the user's function in its closure.
        for name, part in (("defaults", value.__defaults__), ("keyword defaults", value.__kwdefaults__), ("closure", value.__closure__)):
            yield self.digest(part, f"{where} {name}")
        yield from self.pairs(dict(vars(value)), where)
        if _is_local(value):
            yield self.digest(value.__code__, where)
            yield from self._list_globals(value, where)

    def _list_globals(self, value: types.FunctionType, where: str) -> Iterator[object]:
        """Yield the globals that a function reads, and what it reads from local modules among them."""
        names = sorted(_list_names(value.__code__))
        for name in names:
            if name not in value.__globals__:
                continue
            global_value = value.__globals__[name]
            yield name
            yield self.digest(global_value, name)
            if isinstance(global_value, types.ModuleType) and collect_local_code(global_value) is not None:
                inner = {part: vars(global_value)[part] for part in names if part in vars(global_value)}
                yield from self.pairs(inner, name)
        if hidden := find_hidden_state(value):
            self.give_up(where, " and ".join(hidden))

    def _list_code_parts(self, value: types.CodeType, where: str) -> Iterator[object]:
        yield from ("code", value.co_name, value.co_code, value.co_names, value.co_varnames, value.co_freevars, value.co_flags)
        yield from (self.digest(constant, where) for constant in value.co_consts)


def _list_partial(value: functools.partial[Any]) -> Iterator[tuple[str, Any]]:
    yield from (("func", value.func), ("args", value.args), ("keywords", value.keywords), ("attributes", dict(vars(value))))


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - reading an empty one raises
    except ValueError:
        return False
    return True


def _is_local(value: Any) -> bool:
    """Whether the user's code defines an object. Generated code (a dataclass's ``__init__``) belongs to its module."""
    if value is None:
        return False
    if isinstance(value, types.FunctionType) and Path(value.__code__.co_filename).is_file():
        return not is_library(Path(value.__code__.co_filename))
    file = find_file(value)
    if file is None:
        module = sys.modules.get(getattr(value, "__module__", None) or "")
        place = getattr(module, "__file__", None)
        file = Path(place) if place else None
        if module is not None and file is None:
            return module.__name__ == "__main__"
    return file is None or not is_library(file)


def _is_decisive(name: str, value: Any) -> bool:
    """Whether an entry of a class is its function or data, not one that Python or a decorator adds."""
    if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType) or name == "_abc_impl":
        return False
    return isinstance(value, types.FunctionType) or not (name.startswith("__") and name.endswith("__"))


def _has_own_pickling(cls: type) -> bool:
    return any(getattr(cls, name, None) is not getattr(object, name, None) for name in ("__reduce_ex__", "__reduce__", "__getstate__"))


def _read_attributes(value: Any) -> dict[str, Any] | None:
    """Return the ``__dict__`` and slots of an object; None if it has neither."""
    slots = [
        name
        for cls in type(value).__mro__
        for name in _list_slots(vars(cls).get("__slots__", ()))
        if name not in ("__dict__", "__weakref__")
    ]
    if not hasattr(value, "__dict__") and not slots:
        return None
    attributes = dict(vars(value)) if hasattr(value, "__dict__") else {}
    attributes |= {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return attributes or None if _has_own_pickling(type(value)) else attributes


def _list_slots(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _list_names(code: types.CodeType) -> set[str]:
    return {name for part in walk_code(code) for name in part.co_names}


def find_self_changes(value: Any, /) -> list[str]:
    """Describe how a callable changes its own state when called, as phrases such as "sets its attribute 'n' ...".

    Detects a ``__call__`` that sets attributes, and a function that sets variables of its closure. State that a torch
    module keeps from a forward pass is left to the drift checks.
    """
    import dis

    call = value if isinstance(value, types.FunctionType | types.MethodType) else type(value).__call__ if callable(value) else None
    function = getattr(call, "__func__", call)
    if not isinstance(function, types.FunctionType) or not _is_local(function):
        return []
    steps = [(part, step) for part in walk_code(function.__code__) for step in dis.get_instructions(part)]
    changes = [
        f"sets {step.argval!r} in its closure"
        for part, step in steps
        if step.opname == "STORE_DEREF" and step.argval in function.__code__.co_freevars
    ]
    if not isinstance(value, types.FunctionType):
        changes += [f"sets its attribute {step.argval!r}" for part, step in steps if step.opname == "STORE_ATTR"]
    return [f"{what} when it is called" for what in dict.fromkeys(changes)]


def digest_state(value: Any, name: str = "it", *, writes: bool = False) -> tuple[str, list[str]]:
    """Return the digest of an object, and one sentence for each part that could not be inspected."""
    digester = ObjectDigester(writes=writes)
    digest = digester.digest(value, name)
    return digest, [f"{where} {why}" for where, why in digester.unknown.items()]
