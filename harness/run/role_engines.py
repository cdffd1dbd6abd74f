"""Roles: models that a plugin asks beside the one that is evaluated. A judge, an attacker, a sentence encoder, a masked language model.

A plugin (and a threat) says in ``roles`` which it cannot do without and in ``optional_roles`` which it can, each with what such a model
must be able to do; the suite says who plays them. In the run, ``engine.roles[name]`` is the engine of that model.
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
    """The loaded models of all roles. Each is loaded when the first item wants it, and kept until `close`."""

    def __init__(self, load: Callable[[PlannedModel], Model]) -> None:
        self._load = load
        self._loaded: dict[str, Model] = {}
        self._open = ExitStack()

    def engines(
        self, roles: Mapping[str, PlannedModel], evaluated: Mapping[str, Engine], make: Callable[[PlannedModel, Model], Engine], /
    ) -> dict[str, Engine]:
        """An engine a role. A model in two roles has one engine, and so has the model under evaluation that plays a role itself."""
        engines = dict(evaluated)
        for planned in roles.values():
            if planned.name not in engines:
                engines[planned.name] = make(planned, self._model(planned))
        return {role: engines[planned.name] for role, planned in roles.items()}

    def _model(self, planned: PlannedModel) -> Model:
        if planned.name not in self._loaded:
            self._loaded[planned.name] = self._open.enter_context(closing(self._load(planned)))
        return self._loaded[planned.name]

    def close(self) -> None:
        self._open.close()
        self._loaded.clear()
