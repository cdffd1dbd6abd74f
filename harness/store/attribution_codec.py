"""Attributions in few bytes: values of 11 significant bits, and places in a text as the steps from one to the next.

What is lost is lost in `halved`, before a value is recorded; what the codec then writes comes back exactly.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..modalities.words import Spans

_BITS = 11
_TOP = 15
"""The largest value is scaled to just below 2 ** 15, so that float16 reaches 2 ** 38 times below it."""
_LARGEST = np.float32((2 - 2.0 ** (1 - _BITS)) * 2.0**127)


class Steps(tuple[tuple[int, int], ...]):
    """Spans, equal to the tuple they are, which the codec writes as gaps and lengths: about two bytes a word."""


def halved(values: NDArray[np.float32], /) -> NDArray[np.float32]:
    """Rounded to what a float16 and one power of two hold.

    A value moves by at most 2 ** -11 of itself, or 2 ** -38 of the largest one if that is more. Rounding keeps signs and order: of two
    values the larger may become equal to the smaller, never less.
    """
    if not values.size:
        return values
    exponent = _exponent(values)
    near = np.ldexp(np.ldexp(values, -exponent).astype(np.float16).astype(np.float64), exponent)
    return near.clip(-_LARGEST, _LARGEST).astype(np.float32)


def as_half(values: NDArray[np.float32], /) -> tuple[int, NDArray[np.float16]] | None:
    """(exponent, float16): the values are ``float16 * 2 ** exponent``, exactly. None where they are not."""
    if not values.size or not np.isfinite(values).all():
        return None
    exponent = _exponent(values)
    half = np.ldexp(values, -exponent).astype(np.float16)
    # What rounds up beyond the largest float32 is not what was given.
    with np.errstate(over="ignore"):
        return (exponent, half) if np.array_equal(from_half(exponent, half), values) else None


def from_half(exponent: int, half: NDArray[np.float16], /) -> NDArray[np.float32]:
    """The inverse of `as_half`."""
    return np.ldexp(half.astype(np.float32), exponent)


def _exponent(values: NDArray[np.float32]) -> int:
    """The same before and after rounding."""
    mantissa, exponent = math.frexp(float(np.abs(values).max()))
    return exponent - _TOP + int(round(mantissa * 2**_BITS) == 2**_BITS)


def as_steps(spans: Spans, /) -> NDArray[np.integer]:
    """From each edge to the next, in the smallest type that holds them all."""
    steps = np.diff(np.array(spans, dtype=np.int64).reshape(-1), prepend=0)
    return next(small for small in (steps.astype(kind) for kind in ("u1", "<i4", "<i8")) if np.array_equal(small, steps))


def from_steps(steps: NDArray[np.integer], /) -> Steps:
    """The inverse of `as_steps`."""
    return Steps(map(tuple, steps.cumsum(dtype=np.int64).reshape(-1, 2).tolist()))
