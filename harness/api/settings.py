"""Validation of plugin settings against the annotations of the plugin's signature, before anything runs.

``int``, ``float``, ``bool`` and ``str`` declare a type; the names below also declare a range:

    def __init__(self, *, steps: Count = 20, max_share: Share | None = None, temperature: Amount = 1.0) -> None:

Values are not converted: ``steps: 2.5``, ``steps: "3"`` and ``steps: true`` are errors.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from fractions import Fraction
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from .errors import ConfigError

Count = Annotated[int, Field(ge=1)]
"""A number of things, at least 1."""

Bound = Annotated[int, Field(ge=0)]
"""A maximum number of things, at least 0."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A fraction from 0 to 1, not in percent."""

Cosine = Annotated[float, Field(ge=-1, le=1)]

Amount = Annotated[float, Field(ge=0)]
"""A number, at least 0."""

Size = Annotated[float, Field(gt=0)]
"""A number above 0."""

_AS_GIVEN = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "nothing"}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def check_settings(what: str, factory: Callable[..., Any], settings: Mapping[str, Any], /) -> None:
    """Check settings against the annotations of a factory. The plugin itself checks settings without a readable annotation.

    what: the plugin's name in the error, e.g. ``attack 'pgd'``.
    factory: the plugin's class or factory function.
    settings: the settings by name.
    Raises `ConfigError` for the first setting that its annotation does not allow, with a suggested value if there is a likely one.
    """
    hints = list_settings(factory)
    for name, value in settings.items():
        if name not in hints or _allows(hints[name], value):
            continue
        raise ConfigError(f"{what}: {name} must be {describe_hint(hints[name])}, not {value!r}{_suggest_fix(hints[name], value)}")


def check_fields(what: str, made: Any, /) -> None:
    """Check the fields of a dataclass instance like settings. Call it from ``__post_init__``.

    Raises `ConfigError` as `check_settings` does.
    """
    check_settings(what, type(made), {field.name: getattr(made, field.name) for field in fields(made)})


def list_settings(factory: Callable[..., Any], /) -> dict[str, Any]:
    """Return the annotations of a factory's settings, by name, without settings that have none."""
    function = factory.__init__ if inspect.isclass(factory) else factory
    names = getattr(inspect.unwrap(function), "__globals__", {})
    hints: dict[str, Any] = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        hint = parameter.annotation
        if isinstance(hint, str):
            # Names imported under TYPE_CHECKING do not exist at run time.
            with suppress(Exception):
                hints[name] = eval(hint, names)  # noqa: S307 - an annotation in code that is already imported
        elif hint is not parameter.empty:
            hints[name] = hint
    return hints


def _allows(hint: Any, value: Any) -> bool:
    # A YAML list is valid for any sequence type, including a tuple.
    tries = (value, tuple(value)) if isinstance(value, list) else (value, list(value)) if isinstance(value, tuple) else (value,)
    adapter: TypeAdapter[Any] = TypeAdapter(hint, config=_AS_GIVEN)
    for tried in tries:
        with suppress(ValidationError):
            adapter.validate_python(tried)
            return True
    return False


def describe_hint(hint: Any, /) -> str:
    """Describe an annotation in words: ``a whole number of at least 1``, ``a number from 0 to 1, or nothing``."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _describe_range(
            describe_hint(parts[0]), {k: v for part in parts[1:] for m in getattr(part, "metadata", ()) for k, v in _list_bounds(m)}
        )
    if origin in (Union, UnionType):
        return ", or ".join(map(describe_hint, parts))
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if hint in _WORDS:
        return _WORDS[hint]
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return "a mapping"
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        return f"a list, each element {describe_hint(parts[0])}" if parts else "a list"
    return getattr(hint, "__name__", str(hint))


def _list_bounds(constraint: Any) -> list[tuple[str, Any]]:
    return [(kind, getattr(constraint, kind)) for kind in _BOUNDS if hasattr(constraint, kind)]


def _describe_range(words: str, bounds: Mapping[str, Any]) -> str:
    if {"ge", "le"} <= set(bounds):
        return f"{words} from {bounds['ge']:g} to {bounds['le']:g}"
    return f"{words} of " + " and ".join(f"{_BOUNDS[kind]} {bound:g}" for kind, bound in bounds.items()) if bounds else words


def _suggest_fix(hint: Any, value: Any) -> str:
    """Suggest a likely value that the annotation allows; empty if there is none."""
    for guess, why in _guess_values(value):
        if _allows(hint, guess):
            return f"; write {guess!r}{why}"
    return ""


def _guess_values(value: Any) -> list[tuple[Any, str]]:
    if isinstance(value, str):
        with suppress(ValueError, ZeroDivisionError):
            number = Fraction(value.strip())
            plain = int(number) if number.denominator == 1 and "." not in value else round(float(number), 6)
            return [(plain, " without quotes" if "/" not in value else "")]
        flag = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(value.strip().lower())
        return [] if flag is None else [(flag, " without quotes")]
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return [(int(value), "")]
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 < value <= 100:
        return [(value / 100, f" for {value:g} percent")]
    return []
