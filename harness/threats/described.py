"""A threat as records keep it, and as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from ..api.threat import Threat
from .choosing import Threats
from .lp_ball import LpBall

_HOW = frozenset({"type", "keep_prompt"})
"""What says how an attack goes about it, and not how far it may go: two threats that differ in this alone have one title."""


def described(threat: Threat, /) -> dict[str, Any]:
    """A threat as a record keeps it: its class, and what its equality is made of; of one that is no dataclass, what it holds."""
    name = {"type": type(threat).__name__}
    if not is_dataclass(threat):
        return name | {key: value if isinstance(value, str | int | float) else str(value) for key, value in sorted(_held(threat).items())}
    given = asdict(threat)  # type: ignore[arg-type]
    return {**name, **{f.name: given[f.name] for f in fields(threat) if f.compare}}


def _held(threat: Threat) -> dict[str, Any]:
    return {key: value for key, value in getattr(threat, "__dict__", {}).items() if not key.startswith("_")}


def title_of(threat: Mapping[str, Any] | None, /) -> str:
    """A described threat in few words, the same for two that only rounding tells apart: ``linf 0.0313725``, ``edits max_words 2``."""
    if not threat:
        return "no threat"
    if threat["type"] == LpBall.__name__:
        return f"{threat['norm']} {_shown(threat['epsilon'])}"
    kind, plain = next(
        ((kind, described(made())) for kind, made in Threats.items() if made.__name__ == threat["type"] and made is not LpBall),
        (threat["type"], {}),
    )
    bounds = {key: value for key, value in threat.items() if key not in _HOW}
    said = [f"{key} {_shown(value)}" for key, value in bounds.items() if key not in plain or _shown(value) != _shown(plain[key])]
    return " ".join([kind, *said])


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def is_bounded(threat: Mapping[str, Any] | None, /) -> bool:
    """False of an L-p ball without a radius, in which every image is."""
    return not threat or threat["type"] != LpBall.__name__ or threat["epsilon"] is not None


def holds(wide: Mapping[str, Any] | None, narrow: Mapping[str, Any] | None, /) -> bool:
    """Whether all that the described threat ``narrow`` admits is admitted by ``wide``, as far as their bounds tell: a larger radius or
    budget holds a smaller one, a bound that is not there holds any."""
    if title_of(wide) == title_of(narrow):
        return True
    if not wide or not narrow or set(wide) != set(narrow) or wide["type"] != narrow["type"]:
        return False
    return all(_loosens(name, wide[name], narrow[name]) for name in wide)


def _loosens(name: str, wide: Any, narrow: Any) -> bool:
    if _shown(wide) == _shown(narrow) or wide is None or wide is False:
        return True
    if narrow is None or not (name == "epsilon" or name.startswith(("max_", "min_"))):
        return False
    return bool(wide <= narrow if name.startswith("min_") else wide >= narrow)
