"""Roles: auxiliary models of plugins, such as a judge, an attacker, a sentence encoder or a masked language model.

A plugin (or a threat) lists required roles in ``roles`` and optional ones in ``optional_roles``, with the capabilities that each needs;
the suite names the models. In the run, ``engine.roles[name]`` is the engine of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from ..api.model import Model
from ..engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..items.base.planned_item import PlannedModel


class Players:
    """The loaded models of all roles. A model is loaded for the first item that needs it, and kept until `close`."""

    def __init__(self, load: Callable[[PlannedModel], Model]) -> None:
        self._load = load
        self._loaded: dict[str, Model] = {}
        self._open = ExitStack()

    def engines(
        self, roles: Mapping[str, PlannedModel], evaluated: Mapping[str, Engine], make: Callable[[PlannedModel, Model], Engine], /
    ) -> dict[str, Engine]:
        """Return one engine per role. A model in several roles has one engine, also if it is the evaluated model."""
        engines = dict(evaluated)
        for planned in roles.values():
            if planned.name not in engines:
                engines[planned.name] = make(planned, self._load_model(planned))
        return {role: engines[planned.name] for role, planned in roles.items()}

    def _load_model(self, planned: PlannedModel) -> Model:
        if planned.name not in self._loaded:
            self._loaded[planned.name] = self._open.enter_context(closing(self._load(planned)))
        return self._loaded[planned.name]

    def close(self) -> None:
        """Close all loaded models."""
        self._open.close()
        self._loaded.clear()
