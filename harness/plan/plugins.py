"""Plugins as the plan makes them: checked for what the harness will use, their exceptions made the user's errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..api.errors import ConfigError, UserError
from ..api.registry import Registry
from ..system.interrupts import is_interrupt

_OF_MODELS = ("inspect", "load")

T = TypeVar("T")


def call_plugin(what: str, work: Callable[[], T], kind: type[UserError]) -> T:
    """What a plugin says before the run. Its own exceptions become the user's to read, not a traceback."""
    try:
        return work()
    except UserError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise kind(f"{what}: {type(error).__name__}: {error}") from error


def make_plugin(group: str, name: str, registry: Registry, /, **settings: Any) -> Any:
    """The plugin, which has what the harness will use of it."""
    made = registry.make(group, name, **settings)
    if group != "models":
        if not isinstance(made.requires, frozenset | set):
            raise ConfigError(f"the {group[:-1]} {name!r}: requires is a frozenset of capabilities, not {made.requires!r}")
        return made
    lacks = [part for part in _OF_MODELS if not hasattr(made, part)]
    if lacks:
        raise ConfigError(f"the model {name!r} has no {lacks[0]!r}; windtunnel.harness.api.model says what a plugin needs")
    return made
