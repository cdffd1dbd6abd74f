"""Import the object that ``module:name`` or ``path/file.py:name`` refers to."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from ..system.interrupts import is_interrupt
from .errors import ConfigError, suggest_name
from .imported_files import add_to_path, import_file


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
        module = import_file(Path(where)).module if where.endswith(".py") else _import_name(where)
    except ConfigError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ConfigError(f"{where} raised at import: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        raise ConfigError(f"{where} has no {name!r}.{suggest_name(name, [n for n in dir(module) if not n.startswith('_')])}")
    return getattr(module, name)


def _import_name(name: str) -> ModuleType:
    add_to_path(Path.cwd())
    return importlib.import_module(name)
