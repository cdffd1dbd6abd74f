"""Describe threats, for records and for people, and compare their bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from ..api.threat import Threat
from .build import Threats
from .lp_ball import LpBall

_NOT_BOUNDS = frozenset({"type", "keep_prompt"})
"""Fields that are not bounds. Threats that differ only in these have the same title."""


def describe_threat(threat: Threat, /) -> dict[str, Any]:
    """Return the description of a threat for a record: its class and its compared fields.

    For a class that is not a dataclass, the public attributes.
    """
    name = {"type": type(threat).__name__}
    if not is_dataclass(threat):
        attributes = sorted(_list_public_attributes(threat).items())
        return name | {key: value if isinstance(value, str | int | float) else str(value) for key, value in attributes}
    values = asdict(threat)
    return {**name, **{f.name: values[f.name] for f in fields(threat) if f.compare}}


def _list_public_attributes(threat: Threat) -> dict[str, Any]:
    return {key: value for key, value in getattr(threat, "__dict__", {}).items() if not key.startswith("_")}


def title_of(threat: Mapping[str, Any] | None, /) -> str:
    """Return a short title of a described threat: ``linf 0.0313725``, ``edits max_words 2``.

    Threats that differ only by rounding have the same title.
    """
    if not threat:
        return "no threat"
    if threat["type"] == LpBall.__name__:
        return f"{threat['norm']} {_format(threat['epsilon'])}"
    kind, defaults = next(
        ((kind, describe_threat(cls())) for kind, cls in Threats.items() if cls.__name__ == threat["type"] and cls is not LpBall),
        (threat["type"], {}),
    )
    bounds = {key: value for key, value in threat.items() if key not in _NOT_BOUNDS}
    changed = [
        f"{key} {_format(value)}" for key, value in bounds.items() if key not in defaults or _format(value) != _format(defaults[key])
    ]
    return " ".join([kind, *changed])


def _format(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def is_bounded(threat: Mapping[str, Any] | None, /) -> bool:
    """Whether a described threat has a bound. An L-p ball without a radius includes every image."""
    return not threat or threat["type"] != LpBall.__name__ or threat["epsilon"] is not None


def is_wider(wide: Mapping[str, Any] | None, narrow: Mapping[str, Any] | None, /) -> bool:
    """Whether the described threat ``wide`` admits all that ``narrow`` admits, judged by their bounds.

    A larger radius or budget includes a smaller one; no bound includes any bound.
    """
    if title_of(wide) == title_of(narrow):
        return True
    if not wide or not narrow or set(wide) != set(narrow) or wide["type"] != narrow["type"]:
        return False
    return all(_is_looser(name, wide[name], narrow[name]) for name in wide)


def _is_looser(name: str, wide: Any, narrow: Any) -> bool:
    if _format(wide) == _format(narrow) or wide is None or wide is False:
        return True
    if narrow is None or not (name == "epsilon" or name.startswith(("max_", "min_"))):
        return False
    return bool(wide <= narrow if name.startswith("min_") else wide >= narrow)
