"""Call a user's function that encodes inputs for a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...api.errors import ModelError
from ...system.interrupts import is_interrupt

OFFSETS = "offset_mapping"
"""The key under which tokenizers of transformers return the span of each token in the text."""

Encode = Callable[[list[Any]], Any]
"""Encodes a list of inputs: returns an array, a tuple of arrays, or arrays by name, with one row per input."""


def call_encode(encode: Encode, value: object, name: str, /) -> dict[str, Any]:
    """Encode one input alone, and return its arrays [1, ...] by the argument's name, or its position, "0", "1".

    name: the function, for errors.
    Raises `ModelError` if the function returns something else.
    """
    result = encode([value])
    if isinstance(result, Mapping):
        arrays = dict(result)
    else:
        arrays = {str(place): array for place, array in enumerate(result if isinstance(result, tuple) else (result,))}
    for key, array in arrays.items():
        try:
            num = len(array)
        except TypeError as error:
            raise ModelError(f"{name} must return arrays with one row per input; {key!r} is a {type(array).__name__}") from error
        if num != 1:
            raise ModelError(f"{name} must return arrays with one row per input; {key!r} has {num:,} rows for one input")
    return arrays


def try_encode(encode: Encode, value: object, name: str, /) -> dict[str, Any]:
    """Encode an example before the run. Raises `ModelError` if the function raises."""
    try:
        return call_encode(encode, value, name)
    except ModelError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ModelError(f"{name} raised {type(error).__name__} for the input {value!r}: {error}") from error
