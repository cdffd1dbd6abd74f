"""``module:name`` or ``path/file.py:name`` to the object it names."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..identity.code import Code, collect_code, is_library, target_folders
from ..identity.digests import digest_file
from ..system.interrupts import is_interrupt
from .errors import ConfigError, did_you_mean

_imported: dict[str, str] = {}
"""What a local module's file held when a target imported it, by the module's name."""


def resolve(target: str, /) -> Any:
    """The object. A file is run as a module of its own, beside which its folder can be imported from. Raises `ConfigError`.

    A module may also lie in the current folder. Both folders come last on the path: they shadow nothing that is installed.
    """
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise ConfigError(f"{target!r} names no Python object; write module:name or path/to/file.py:name")
    try:
        module = _from_file(Path(where)) if where.endswith(".py") else _from_name(where)
    except ConfigError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ConfigError(f"{where} raised at import: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        raise ConfigError(f"{where} has no {name!r}.{did_you_mean(name, [n for n in dir(module) if not n.startswith('_')])}")
    return getattr(module, name)


def _reach(folder: Path) -> None:
    """Put a folder last on the path, but before those of other targets: each file sees its own neighbours first."""
    place = str(folder)
    if place in sys.path and place not in target_folders:
        return
    if place in target_folders:
        while place in sys.path:
            sys.path.remove(place)
        target_folders.remove(place)
    sys.path.insert(min((sys.path.index(other) for other in target_folders if other in sys.path), default=len(sys.path)), place)
    target_folders.insert(0, place)


def _forget_others(code: Code) -> None:
    """Of the local modules that this code imports, those that were loaded from another place or from another content, so that it gets its
    own. Who has them already keeps them."""
    for name, path in code.files.items():
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if module is not None and file and not is_library(Path(file)):
            known = _imported.get(name, digest_file(path))
            if Path(file).resolve() != path.resolve() or known != digest_file(path):
                del sys.modules[name]
        _imported[name] = digest_file(path)


def _from_name(name: str) -> Any:
    _reach(Path.cwd())
    return importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    _reach(path.resolve().parent)
    code = collect_code(path)
    # By content too: a file that was changed, or beside which one was, is another module, as it is another fingerprint.
    name = f"windtunnel_target_{hashlib.sha256(f'{path.resolve()} {code.digest}'.encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    _forget_others(code)
    return execute(path, name)


def run_file(path: Path, name: str, /) -> None:
    """Run a Python file as the module ``name``, beside which its folder can be imported from."""
    _reach(path.resolve().parent)
    _forget_others(collect_code(path))
    execute(path, name)


def execute(path: Path, name: str, /) -> ModuleType:
    """Run a Python file as the module ``name``. What it raises is the caller's; the half-made module is gone then."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # From its text, never from a compiled copy that lies beside it: what was read and hashed is what runs.
        exec(compile(path.read_bytes(), path, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module
