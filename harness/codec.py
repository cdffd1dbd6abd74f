"""Facts to JSON and back, exactly: dataclasses by name, arrays by bytes, text with lone surrogates. No pickle anywhere."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
from typing import Any

import numpy as np

from . import inputs, requests, samples

_DATACLASSES = {
    cls.__name__: cls
    for cls in (
        *requests.KINDS, requests.LogProb, requests.Completion, requests.Logits, requests.Embedding, requests.Failure,
        inputs.TextPair, inputs.Message, inputs.Chat, samples.Sample, samples.Attribution, samples.Record,
    )
}  # fmt: skip


def _pack(value: Any) -> Any:
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, np.generic):
        return _pack(value.item())
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"$array": [value.dtype.str, list(value.shape), data]}
    if isinstance(value, inputs.Image):
        return {"$image": _pack(value.pixels)}
    if isinstance(value, inputs.Audio):
        return {"$audio": [_pack(value.samples), value.rate]}
    if isinstance(value, tuple | list):
        return [_pack(v) for v in value]
    if dataclasses.is_dataclass(value) and type(value).__name__ in _DATACLASSES:
        fields = {f.name: _pack(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"$type": type(value).__name__, **fields}
    if hasattr(value, "items"):
        # A user's own "$type" becomes "$$type": data can never name one of our markers.
        return {f"${k}" if str(k).startswith("$") else str(k): _pack(v) for k, v in value.items()}
    raise TypeError(f"a {type(value).__name__} cannot be recorded; use text, numbers, lists, mappings or numpy arrays")


def _unpack(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_unpack(v) for v in value)
    if not isinstance(value, dict):
        return value
    if "$float" in value:
        return float(value["$float"])
    if "$array" in value:
        dtype, shape, data = value["$array"]
        return np.frombuffer(base64.b64decode(data), dtype=np.dtype(dtype)).reshape(shape)
    if "$image" in value:
        return inputs.Image(_unpack(value["$image"]))
    if "$audio" in value:
        return inputs.Audio(_unpack(value["$audio"][0]), value["$audio"][1])
    if "$type" in value:
        cls = _DATACLASSES[value["$type"]]
        return cls(**{k: _unpack(v) for k, v in value.items() if k != "$type"})
    return {k[1:] if k.startswith("$$") else k: _unpack(v) for k, v in value.items()}


def dumps(value: Any, /) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII only (a lone surrogate becomes its escape and comes back as itself)."""
    return json.dumps(_pack(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def loads(text: str, /) -> Any:
    """The inverse of `dumps`; lists come back as tuples, as the frozen types hold them."""
    return _unpack(json.loads(text))


def digest(value: Any, /) -> str:
    """SHA-256 of the canonical JSON, in hex: the identity of a fact."""
    return hashlib.sha256(dumps(value).encode("ascii")).hexdigest()
