"""What the settings of a plugin may be: declared by the annotations of its signature, checked in one place before anything runs.

A plain ``int``, ``float``, ``bool`` or ``str`` says the type; the names below say a range, too:

    def __init__(self, *, steps: Count = 20, max_share: Share | None = None, temperature: Amount = 1.0) -> None:

Nothing is converted: ``steps: 2.5`` is an error and not 2, and so are ``"3"`` and ``true``.
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
"""How many: one or more."""

Bound = Annotated[int, Field(ge=0)]
"""At most so many: zero or more."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole: 0 to 1, never percent."""

Cosine = Annotated[float, Field(ge=-1, le=1)]

Amount = Annotated[float, Field(ge=0)]
"""A number of 0 or more."""

Size = Annotated[float, Field(gt=0)]
"""A number above 0."""

_AS_GIVEN = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "nothing"}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def check_settings(what: str, factory: Callable[..., Any], given: Mapping[str, Any], /) -> None:
    """Raises `ConfigError` for the first setting that its annotation does not allow, with the fix where one is likely.

    ``what``: how the error calls the plugin, e.g. ``attack 'pgd'``. ``given``: the settings by name. A setting without an annotation that
    can be read is the plugin's own to check.
    """
    hints = settings_of(factory)
    for name, value in given.items():
        if name not in hints or _allows(hints[name], value):
            continue
        raise ConfigError(f"{what}: {name} is {told(hints[name])}, not {value!r}{_fix(hints[name], value)}")


def check_fields(what: str, made: Any, /) -> None:
    """`check_settings` of a dataclass that was made already, to be called from its ``__post_init__``."""
    check_settings(what, type(made), {field.name: getattr(made, field.name) for field in fields(made)})


def settings_of(factory: Callable[..., Any], /) -> dict[str, Any]:
    """The annotation of each setting that has one, by name."""
    made = factory.__init__ if inspect.isclass(factory) else factory
    names = getattr(inspect.unwrap(made), "__globals__", {})
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        hint = parameter.annotation
        if isinstance(hint, str):
            # What stands under TYPE_CHECKING is not there to be read.
            with suppress(Exception):
                found[name] = eval(hint, names)  # noqa: S307 - an annotation of code that was imported already
        elif hint is not parameter.empty:
            found[name] = hint
    return found


def _allows(hint: Any, value: Any) -> bool:
    # A list of YAML stands for any sequence, a tuple's too.
    tries = (value, tuple(value)) if isinstance(value, list) else (value, list(value)) if isinstance(value, tuple) else (value,)
    adapter: TypeAdapter[Any] = TypeAdapter(hint, config=_AS_GIVEN)
    for tried in tries:
        with suppress(ValidationError):
            adapter.validate_python(tried)
            return True
    return False


def told(hint: Any, /) -> str:
    """An annotation in words: ``a whole number of at least 1``, ``a number from 0 to 1, or nothing``."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _ranged(told(parts[0]), {k: v for part in parts[1:] for m in getattr(part, "metadata", ()) for k, v in _bounds(m)})
    if origin in (Union, UnionType):
        return ", or ".join(told(part) for part in parts)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if hint in _WORDS:
        return _WORDS[hint]
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return "a mapping"
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        return f"a list, each of them {told(parts[0])}" if parts else "a list"
    return getattr(hint, "__name__", str(hint))


def _bounds(constraint: Any) -> list[tuple[str, Any]]:
    return [(kind, getattr(constraint, kind)) for kind in _BOUNDS if hasattr(constraint, kind)]


def _ranged(words: str, bounds: Mapping[str, Any]) -> str:
    if {"ge", "le"} <= set(bounds):
        return f"{words} from {bounds['ge']:g} to {bounds['le']:g}"
    return f"{words} of " + " and ".join(f"{_BOUNDS[kind]} {bound:g}" for kind, bound in bounds.items()) if bounds else words


def _fix(hint: Any, value: Any) -> str:
    """What the user meant, where a likely value is allowed."""
    for meant, why in _meant(value):
        if _allows(hint, meant):
            return f"; write {meant!r}{why}"
    return ""


def _meant(value: Any) -> list[tuple[Any, str]]:
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
