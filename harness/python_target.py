"""``module:name`` or ``path/file.py:name`` to the object it names."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import ConfigError, did_you_mean, is_interrupt


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


def source_digest(obj: Any, /) -> str:
    """SHA-256 of the file that defines the object: a changed file is a changed model."""
    for candidate in (obj, getattr(obj, "func", None), type(obj)):
        try:
            file = inspect.getsourcefile(candidate) if candidate is not None else None
        except TypeError:
            continue
        if file is not None and Path(file).is_file():
            return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return "unknown"


def _reachable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _from_name(name: str) -> Any:
    _reachable(Path.cwd())
    return importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    _reachable(path.resolve().parent)
    # By content too: a file that was changed is another module, as it is another fingerprint.
    name = f"windtunnel_target_{hashlib.sha256(str(path.resolve()).encode() + path.read_bytes()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    return execute(path, name)


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
