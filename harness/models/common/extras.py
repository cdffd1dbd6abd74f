"""Packages that only some forms of models need."""

from __future__ import annotations

from importlib.util import find_spec

from ...api.errors import ModelError


def is_installed(module: str, /) -> bool:
    """Tell whether a module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def require_extra(module: str, target: str, extra: str, /) -> None:
    """Raise `ModelError` with the pip line if an optional package is not installed.

    module: its import name. target: the model, for the error. extra: the extra of Windtunnel that installs it.
    """
    if not is_installed(module):
        raise ModelError(f"{target!r} needs the package {module!r}, which is not installed: pip install 'windtunnel[{extra}]'")
