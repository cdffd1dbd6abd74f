"""The field's libraries that only some metrics need."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..api.errors import ConfigError


def require_library(name: str, reader: str, /, extra: str = "text") -> None:
    """Raise `ConfigError` with the pip line if a library is not installed. reader: what needs it, for the error."""
    if find_spec(name) is None:
        raise ConfigError(f"{reader} needs the package {name!r}, which is not installed: pip install 'windtunnel[{extra}]'")


def import_library(module: str, reader: str, /, extra: str = "text") -> Any:
    """Import a module of an optional library. Raises `ConfigError` as `require_library` does."""
    require_library(module.partition(".")[0], reader, extra)
    return import_module(module)
