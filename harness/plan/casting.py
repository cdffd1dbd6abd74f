"""Assigns models to the roles of plugins, and checks their capabilities before weights load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..api.errors import CapabilityError, ConfigError, UnknownName, suggest_name
from ..api.plugins import Plugin
from .capabilities import join_names

if TYPE_CHECKING:
    from ..items.base.planned_item import PlannedModel


def cast(given: Mapping[str, str], parts: Sequence[Plugin], models: Sequence[PlannedModel], what: str, /) -> dict[str, PlannedModel]:
    """Return the model for each role.

    ``given``: names of models by role, from the suite.
    ``parts``: the plugins that define the roles, such as an attack and its threat.
    ``models``: the models of the suite.
    ``what``: the plugin's description for error messages.

    Raises `ConfigError` for an unknown role, or a required role without a model, `UnknownName` for an unknown model,
    and `CapabilityError` if the model lacks a capability of the role.
    """
    needed = {role: abilities for part in parts for role, abilities in part.roles.items()}
    known = {role: abilities for part in parts for role, abilities in part.optional_roles.items()} | needed
    players = {model.name: model for model in models}
    for role in given:
        if role not in known:
            raise ConfigError(f"{what} has no role {role!r}.{suggest_name(role, known)} Its roles: {join_names(known)}")
    for role, abilities in needed.items():
        if role not in given:
            raise ConfigError(f"{what} needs a model that can {join_names(abilities)}; name one of the suite's: roles: {{{role}: NAME}}")
    for role, name in given.items():
        if name not in players:
            raise UnknownName(
                f"{what} gives the role {role!r} to {name!r}, which is neither among 'models' nor 'auxiliary_models'."
                f"{suggest_name(name, players)} They are {', '.join(players)}"
            )
        if lack := players[name].info.describe_lack(known[role]):
            raise CapabilityError(f"{what}: the model {name!r} cannot play the role {role!r}: it {lack}")
    return {role: players[name] for role, name in given.items()}
