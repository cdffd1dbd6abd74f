"""Import the object that ``module:name`` or ``path/file.py:name`` refers to."""

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
from .errors import ConfigError, suggest_name

_imported: dict[str, str] = {}
"""The digest of each local module's file at the time of its import, by module name."""


def resolve(target: str, /) -> Any:
    """Import and return the object that a target refers to.

    target: ``module:name`` or ``path/file.py:name``. A file runs as a module of its own and can import from its folder; a module may lie
        in the current folder. Both folders are last on the import path, so that they shadow no installed package.
    Raises `ConfigError` if there is no such object, or if the import raises.
    """
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise ConfigError(f"{target!r} is not a reference to a Python object; write module:name or path/to/file.py:name")
    try:
        module = _import_file(Path(where)) if where.endswith(".py") else _import_name(where)
    except ConfigError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ConfigError(f"{where} raised at import: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        raise ConfigError(f"{where} has no {name!r}.{suggest_name(name, [n for n in dir(module) if not n.startswith('_')])}")
    return getattr(module, name)


def _add_to_path(folder: Path) -> None:
    """Append a folder to the import path, before the folders of other targets: each file finds its own neighbours first."""
    folder_path = str(folder)
    if folder_path in sys.path and folder_path not in target_folders:
        return
    if folder_path in target_folders:
        while folder_path in sys.path:
            sys.path.remove(folder_path)
        target_folders.remove(folder_path)
    sys.path.insert(min((sys.path.index(other) for other in target_folders if other in sys.path), default=len(sys.path)), folder_path)
    target_folders.insert(0, folder_path)


def _unload_stale_modules(code: Code) -> None:
    """Unload the local modules that this code imports if they were loaded from another file or with other content.

    The code then imports its own versions; modules that imported the old versions keep them.
    """
    for name, path in code.files.items():
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if module is not None and file and not is_library(Path(file)):
            known = _imported.get(name, digest_file(path))
            if Path(file).resolve() != path.resolve() or known != digest_file(path):
                del sys.modules[name]
        _imported[name] = digest_file(path)


def _import_name(name: str) -> Any:
    _add_to_path(Path.cwd())
    return importlib.import_module(name)


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    _add_to_path(path.resolve().parent)
    code = collect_code(path)
    # The name depends on the content: a file that was changed, or that imports a changed file, is another module.
    name = f"windtunnel_target_{hashlib.sha256(f'{path.resolve()} {code.digest}'.encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    _unload_stale_modules(code)
    return execute(path, name)


def run_file(path: Path, name: str, /) -> None:
    """Run a Python file as the module ``name``. It can import from its folder."""
    _add_to_path(path.resolve().parent)
    _unload_stale_modules(collect_code(path))
    execute(path, name)


def execute(path: Path, name: str, /) -> ModuleType:
    """Run a Python file as the module ``name`` and return the module. Exceptions propagate, and remove the module."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # Compile the text, never load a cached .pyc file: the code that runs is the code that was hashed.
        exec(compile(path.read_bytes(), path, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module
