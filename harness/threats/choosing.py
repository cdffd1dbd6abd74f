"""The threat that a suite gives an attack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..api.attack import AnyAttack
from ..api.bases import require_methods, with_defaults
from ..api.errors import ConfigError, did_you_mean
from ..api.registry import parameters
from ..api.threat import Threat
from .edit_budget import EditBudget
from .lp_ball import LpBall
from .prompts import AnyPrompt, SuffixBudget

Threats = {"lp": LpBall, "edits": EditBudget, "suffix": SuffixBudget, "prompt": AnyPrompt}
_OF_PROMPTS = (SuffixBudget, AnyPrompt, EditBudget)
_INSTEAD: Mapping[type, tuple[type, ...]] = {
    LpBall: (LpBall,), EditBudget: (EditBudget,), SuffixBudget: _OF_PROMPTS, AnyPrompt: _OF_PROMPTS,
}  # fmt: skip
"""Threats that a suite may give an attack, by the type of its own."""


def threat_of(given: Mapping[str, Any] | None, attack: AnyAttack, name: str, folder: str | None = None, /) -> Threat:
    """The threat that a suite gives an attack, ``{type: lp | edits, ...}``, or the attack's own. ``folder``: the suite's of word data.
    Raises `ConfigError` for what is none."""
    if given is None:
        if attack.threat is None:
            raise ConfigError(f"the attack {name!r} has no threat of its own; give it one: threat: {{type: {' | '.join(Threats)}, ...}}")
        threat = with_defaults(attack.threat, Threat)
        require_methods(f"threat of the attack {name!r}", threat, Threat)
        return threat
    settings = dict(given)
    kind = settings.pop("type", None)
    if kind not in Threats:
        raise ConfigError(f"a threat has a 'type' of {', '.join(Threats)}, not {kind!r}.{did_you_mean(str(kind), Threats)}")
    make: Callable[..., Threat] = Threats[kind]
    known = list(parameters(make) or ())
    for key in settings:
        if key not in known:
            raise ConfigError(f"threat {kind!r} has no setting {key!r}.{did_you_mean(key, known)} Its settings: {', '.join(known)}")
    instead = _INSTEAD.get(type(attack.threat), tuple(Threats.values()))
    if make not in instead:
        raise ConfigError(
            f"the attack {name!r} works under a threat of type {' or '.join(k for k, made in Threats.items() if made in instead)}, "
            f"not {kind!r}"
        )
    try:
        return make(**{**({"folder": folder} if folder and "folder" in known else {}), **settings})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"threat {kind!r} cannot be made from {settings}: {error}") from error
