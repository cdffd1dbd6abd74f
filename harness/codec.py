"""Facts to JSON and back, exactly: dataclasses by name, arrays by bytes, text with surrogates. No pickle anywhere."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import inputs, requests, samples

_DATACLASSES = {
    cls.__name__: cls
    for cls in (
        *requests.KINDS, *requests.RESPONSES,
        inputs.TextPair, inputs.Message, inputs.Chat, samples.Sample, samples.Attribution, samples.Record,
    )
}  # fmt: skip
_FIELDS = {cls: tuple(f.name for f in dataclasses.fields(cls)) for cls in _DATACLASSES.values()}


_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
"""Two surrogates in a row: JSON would read their escapes as the one character that they encode in UTF-16."""

_Blob = np.ndarray[Any, Any] | inputs.Image | inputs.Audio


def _pack(value: Any, blob: Callable[[_Blob], Any]) -> Any:
    """What JSON can hold. ``blob`` packs what is large: by its bytes, or by their digest."""
    if isinstance(value, str):
        return value if value.isascii() or not _PAIR.search(value) else {"$text": value.encode("utf-8", "surrogatepass").hex()}
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, np.generic) and isinstance(value.item(), bool | int | float | str):
        return _pack(value.item(), blob)
    if isinstance(value, np.ndarray | inputs.Image | inputs.Audio):
        return blob(value)
    if isinstance(value, tuple | list):
        return [_pack(v, blob) for v in value]
    if type(value) is _DATACLASSES.get(type(value).__name__):
        return {"$type": type(value).__name__, **{name: _pack(getattr(value, name), blob) for name in _FIELDS[type(value)]}}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and not _PAIR.search(key) for key in value):
            items = [[_pack(k, blob), _pack(v, blob)] for k, v in value.items()]
            return {"$map": sorted(items, key=lambda item: json.dumps(item[0], sort_keys=True))}
        # A user's own "$type" becomes "$$type": data can never name one of our markers.
        return {f"${k}" if k.startswith("$") else k: _pack(v, blob) for k, v in value.items()}
    raise TypeError(f"a {type(value).__name__} cannot be recorded; use text, numbers, lists, mappings or numpy arrays")


def _whole(value: _Blob) -> Any:
    if isinstance(value, inputs.Image):
        return {"$image": _whole(value.pixels)}
    if isinstance(value, inputs.Audio):
        return {"$audio": [_whole(value.samples), value.rate]}
    if value.dtype.kind not in "biufcmMSU":
        raise TypeError(f"an array of {value.dtype} cannot be recorded; use an array of numbers or text")
    return {"$array": [value.dtype.str, list(value.shape), base64.b64encode(value.tobytes()).decode()]}


def _digest_only(value: _Blob) -> Any:
    """1 ms for a 224 x 224 image as base64 in JSON, 0.1 ms by its SHA-256, which it keeps."""
    if isinstance(value, inputs.Image | inputs.Audio):
        return {"$sha256": value.digest}
    return _whole(value)


def _unpack(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_unpack(v) for v in value)
    if not isinstance(value, dict):
        return value
    if "$float" in value:
        return float(value["$float"])
    if "$array" in value:
        dtype, shape, data = value["$array"]
        kind = np.dtype(dtype)
        return np.frombuffer(base64.b64decode(data), dtype=kind).reshape(shape) if kind.itemsize and data else np.empty(shape, kind)
    if "$text" in value:
        return bytes.fromhex(value["$text"]).decode("utf-8", "surrogatepass")
    if "$map" in value:
        return {_unpack(k): _unpack(v) for k, v in value["$map"]}
    if "$image" in value:
        return inputs.Image(_unpack(value["$image"]))
    if "$audio" in value:
        return inputs.Audio(_unpack(value["$audio"][0]), value["$audio"][1])
    if "$type" in value:
        cls = _DATACLASSES[value["$type"]]
        return cls(**{k: _unpack(v) for k, v in value.items() if k != "$type"})
    return {k[1:] if k.startswith("$$") else k: _unpack(v) for k, v in value.items()}


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def dumps(value: Any, /) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII only (a lone surrogate becomes its escape and comes back as itself)."""
    return _ENCODER.encode(_pack(value, _whole))


def loads(text: str, /) -> Any:
    """The inverse of `dumps`; lists come back as tuples, as the frozen types hold them."""
    return _unpack(json.loads(text))


def digest(value: Any, /) -> str:
    """SHA-256 of the canonical JSON, in hex, with images and audio by their own digests: the identity of a fact."""
    return hashlib.sha256(_ENCODER.encode(_pack(value, _digest_only)).encode("ascii")).hexdigest()
