"""Call a user's function that encodes inputs for a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ...api.errors import ModelError
from ...system.interrupts import is_interrupt

OFFSETS = "offset_mapping"
"""The key under which tokenizers of transformers return the span of each token in the text."""

T = TypeVar("T")
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
        if isinstance(array, np.ndarray | list | tuple) and (wrong := _describe_contents(array)):
            raise ModelError(f"{name} must return arrays of numbers; {key!r} holds {wrong}")
    return arrays


def _describe_contents(array: Any) -> str:
    """Return what an array holds if that is not numbers."""
    try:
        dtype = np.asarray(array).dtype
    except ValueError:
        return "rows of several lengths"
    return "" if dtype.kind in "biuf" else str(dtype)


def read_spans(offsets: Any, num_tokens: int, name: str, /) -> tuple[tuple[int, int], ...]:
    """Return the span of each token. offsets: [1, L, 2]. Raises `ModelError` if there is not one span per token."""
    spans = np.asarray(offsets)[0]
    if spans.shape != (num_tokens, 2):
        raise ModelError(
            f"{name} must return in {OFFSETS!r} one (start, end) for each of {num_tokens:,} tokens; it has the shape {list(spans.shape)}"
        )
    return tuple((int(start), int(end)) for start, end in spans)


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


def split_arguments(named: Mapping[str, T], /) -> tuple[list[T], dict[str, T]]:
    """Return the arguments that `call_encode` named by their position, in order, and those with a name."""
    places = sorted((name for name in named if name.isdecimal()), key=int)
    return [named[name] for name in places], {name: value for name, value in named.items() if not name.isdecimal()}


def join_arguments(places: Sequence[T], named: Mapping[str, T], /) -> dict[str, T]:
    """Undo `split_arguments`."""
    return {str(place): value for place, value in enumerate(places)} | dict(named)
