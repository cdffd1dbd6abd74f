"""Build the threat of an attack from the suite's setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..api.attack import AnyAttack
from ..api.bases import require_methods, with_defaults
from ..api.errors import ConfigError, suggest_name
from ..api.registry import list_parameters
from ..api.threat import Threat
from .edit_budget import EditBudget
from .lp_ball import LpBall
from .prompts import AnyPrompt, SuffixBudget

Threats = {"lp": LpBall, "edits": EditBudget, "suffix": SuffixBudget, "prompt": AnyPrompt}
_OF_PROMPTS = (SuffixBudget, AnyPrompt, EditBudget)
_INSTEAD: Mapping[type, tuple[type, ...]] = {
    LpBall: (LpBall,), EditBudget: (EditBudget,), SuffixBudget: _OF_PROMPTS, AnyPrompt: _OF_PROMPTS,
}  # fmt: skip
"""Types of threats that a suite may set for an attack, by the type of the attack's default threat."""


def build_threat(setting: Mapping[str, Any] | None, attack: AnyAttack, name: str, folder: str | None = None, /) -> Threat:
    """Build the threat of an attack.

    setting: ``{type: lp | edits, ...}`` of the suite; None for the default threat of the attack.
    name: name of the attack, for errors.
    folder: folder of word data, if the threat uses any and its setting names none.

    Raises `ConfigError` for an invalid setting, or if there is neither a setting nor a default.
    """
    if setting is None:
        if attack.threat is None:
            raise ConfigError(f"the attack {name!r} has no default threat; set one: threat: {{type: {' | '.join(Threats)}, ...}}")
        threat = with_defaults(attack.threat, Threat)  # type: ignore[type-abstract]
        require_methods(f"threat of the attack {name!r}", threat, Threat)
        return threat
    settings = dict(setting)
    kind = settings.pop("type", None)
    if kind not in Threats:
        raise ConfigError(f"the 'type' of a threat must be one of {', '.join(Threats)}, not {kind!r}.{suggest_name(str(kind), Threats)}")
    threat_class: Callable[..., Threat] = Threats[kind]
    known = list(list_parameters(threat_class) or ())
    for key in settings:
        if key not in known:
            raise ConfigError(f"threat {kind!r} has no setting {key!r}.{suggest_name(key, known)} Its settings: {', '.join(known)}")
    allowed = _INSTEAD.get(type(attack.threat), tuple(Threats.values()))
    if threat_class not in allowed:
        names = " or ".join(kind for kind, of_kind in Threats.items() if of_kind in allowed)
        raise ConfigError(f"the attack {name!r} needs a threat of type {names}, not {kind!r}")
    try:
        built: Threat = threat_class(**{**({"folder": folder} if folder and "folder" in known else {}), **settings})
        return built
    except (TypeError, ValueError) as error:
        raise ConfigError(f"threat {kind!r} cannot be built from {settings}: {error}") from error
