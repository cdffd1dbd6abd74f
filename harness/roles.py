"""Roles: models that a plugin asks beside the one that is evaluated. A judge, an attacker, a sentence encoder, a masked language model.

A plugin (and a threat) says in ``roles`` which it cannot do without and in ``optional_roles`` which it can, each with what such a model
must be able to do; the suite says who plays them. In the run, ``engine.roles[name]`` is the engine of that model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from .engine import Engine
from .errors import CapabilityError, ConfigError, UnknownName, did_you_mean
from .matching import listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from .planned import PlannedModel


def cast(given: Mapping[str, str], parts: Sequence[Any], models: Sequence[PlannedModel], what: str, /) -> dict[str, PlannedModel]:
    """Who plays which role. ``parts``: whose roles they are (a plugin, its threat). Raises `UserError` where that cannot be."""
    needed = _wanted(parts, "roles")
    known = {**_wanted(parts, "optional_roles"), **needed}
    players = {model.name: model for model in models}
    for role in given:
        if role not in known:
            raise ConfigError(f"{what} has no role {role!r}.{did_you_mean(role, known)} Its roles: {listed(known)}")
    for role, abilities in needed.items():
        if role not in given:
            raise ConfigError(f"{what} needs a model that can {listed(abilities)}; name one of the suite's: roles: {{{role}: NAME}}")
    for role, name in given.items():
        if name not in players:
            raise UnknownName(
                f"{what} gives the role {role!r} to {name!r}, which is neither among 'models' nor 'auxiliary_models'."
                f"{did_you_mean(name, players)} They are {', '.join(players)}"
            )
        missing = known[role] - players[name].info.capabilities
        if missing:
            can = listed(players[name].info.capabilities)
            raise CapabilityError(f"{what}: the role {role!r} needs {listed(missing)}; the model {name!r} can {can}")
    return {role: players[name] for role, name in given.items()}


def _wanted(parts: Sequence[Any], which: str) -> dict[str, frozenset[str]]:
    return {role: abilities for part in parts for role, abilities in (getattr(part, which, None) or {}).items()}


class Players:
    """The loaded models of all roles. Each is loaded when the first item wants it, and kept until `close`."""

    def __init__(self, load: Callable[[PlannedModel], Any]) -> None:
        self._load = load
        self._loaded: dict[str, Any] = {}
        self._open = ExitStack()

    def engines(
        self, roles: Mapping[str, PlannedModel], evaluated: Mapping[str, Engine], make: Callable[[PlannedModel, Any], Engine], /
    ) -> dict[str, Engine]:
        """An engine a role. A model in two roles has one engine, and so has the model under evaluation that plays a role itself."""
        engines = dict(evaluated)
        for planned in roles.values():
            if planned.name not in engines:
                engines[planned.name] = make(planned, self._model(planned))
        return {role: engines[planned.name] for role, planned in roles.items()}

    def _model(self, planned: PlannedModel) -> Any:
        if planned.name not in self._loaded:
            model = self._load(planned)
            if hasattr(model, "close"):
                self._open.enter_context(closing(model))
            self._loaded[planned.name] = model
        return self._loaded[planned.name]

    def close(self) -> None:
        self._open.close()
        self._loaded.clear()
