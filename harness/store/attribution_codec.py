"""Compact encoding of attributions: values with 11 significant bits, spans as differences.

Only `round_to_half` loses precision, before a value is recorded. Encoding and decoding are exact.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..modalities.words import Spans

_BITS = 11
_TOP = 15
"""The largest value is scaled to just below 2 ** 15; float16 then covers values down to 2 ** -38 of it."""
_LARGEST = np.float32((2 - 2.0 ** (1 - _BITS)) * 2.0**127)


class Steps(tuple[tuple[int, int], ...]):
    """A tuple of spans that the codec writes as gaps and lengths, about two bytes per word."""


def round_to_half(values: NDArray[np.float32], /) -> NDArray[np.float32]:
    """Round an array to float16 with one shared exponent.

    values: float32, any shape. Returns float32 of the same shape.

    A value changes by at most 2 ** -11 of itself, or 2 ** -38 of the largest value if that is more. Signs and order
    are kept: two different values may become equal, but never swap.
    """
    if not values.size:
        return values
    exponent = _choose_exponent(values)
    near = np.ldexp(np.ldexp(values, -exponent).astype(np.float16).astype(np.float64), exponent)
    return near.clip(-_LARGEST, _LARGEST).astype(np.float32)


def encode_half(values: NDArray[np.float32], /) -> tuple[int, NDArray[np.float16]] | None:
    """Encode float32 values as (exponent, float16), where values = ``float16 * 2 ** exponent`` exactly.

    Returns None if the values are not finite, or not exact in this form.
    """
    if not values.size or not np.isfinite(values).all():
        return None
    exponent = _choose_exponent(values)
    half = np.ldexp(values, -exponent).astype(np.float16)
    # A value that rounds up beyond the largest float32 is not exact.
    with np.errstate(over="ignore"):
        return (exponent, half) if np.array_equal(decode_half(exponent, half), values) else None


def decode_half(exponent: int, half: NDArray[np.float16], /) -> NDArray[np.float32]:
    """Decode the result of `encode_half`."""
    return np.ldexp(half.astype(np.float32), exponent)


def _choose_exponent(values: NDArray[np.float32]) -> int:
    """The shared exponent, which is the same before and after rounding."""
    mantissa, exponent = math.frexp(float(np.abs(values).max()))
    return exponent - _TOP + int(round(mantissa * 2**_BITS) == 2**_BITS)


def encode_steps(spans: Spans, /) -> NDArray[np.integer]:
    """Encode spans as the differences between consecutive edges, in the smallest integer type that holds them."""
    steps = np.diff(np.array(spans, dtype=np.int64).reshape(-1), prepend=0)
    return next(small for small in (steps.astype(kind) for kind in ("u1", "<i4", "<i8")) if np.array_equal(small, steps))


def decode_steps(steps: NDArray[np.integer], /) -> Steps:
    """Decode the result of `encode_steps`."""
    return Steps(map(tuple, steps.cumsum(dtype=np.int64).reshape(-1, 2).tolist()))
