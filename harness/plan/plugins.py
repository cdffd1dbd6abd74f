"""Creates plugins for the plan, checks their interface, and turns their exceptions into errors for the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..api.errors import ConfigError, UserError
from ..api.plugins import Plugin
from ..api.registry import Registry
from ..system.interrupts import is_interrupt

T = TypeVar("T")


def call_plugin(what: str, work: Callable[[], T], kind: type[UserError]) -> T:
    """Call a plugin's code, and raise its exceptions as errors for the user instead of a traceback.

    ``what``: the beginning of the error message.
    ``kind``: the class of the error.

    An interrupt or a `UserError` passes unchanged.
    """
    try:
        return work()
    except UserError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise kind(f"{what}: {type(error).__name__}: {error}") from error


def make_plugin(group: str, name: str, registry: Registry, /, **settings: Any) -> Any:
    """Create a plugin and check that it has the attributes that the harness uses.

    ``group``: the group of plugins, such as ``"attacks"``.
    ``name``: the plugin's name.
    ``settings``: its settings.

    Raises `ConfigError` if an attribute is missing or has the wrong type.
    """
    made = registry.make(group, name, **settings)
    if isinstance(made, Plugin) and not isinstance(made.requires, frozenset | set):
        raise ConfigError(f"the {group[:-1]} {name!r}: requires is a frozenset of capabilities, not {made.requires!r}")
    return made
