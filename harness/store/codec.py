"""Facts to JSON and back, exactly: dataclasses by name, arrays by bytes, text with surrogates. No pickle in any record.

Attributions are most of what a probed run holds: their values and places have a short form of their own (`compact`).

The text is canonical (sorted keys, no spaces, ASCII only), so that equal facts have equal digests. It is written in one pass, for a
request costs two of these and a record two more.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any

import numpy as np

from ..api import requests, samples
from ..modalities import chat, text
from ..modalities.array import ContentArray
from ..modalities.base import Unread, modality_named, modality_of
from . import attribution_codec

_DATACLASSES = {
    cls.__name__: cls
    for cls in (
        requests.Failure, text.TextPair, chat.Message, chat.Chat, samples.Sample, samples.Attribution, samples.Record,
    )
}  # fmt: skip
"""By the names that records give them; requests and responses have a register of their own (`requests.class_named`)."""


def _opened(cls: type[Any]) -> list[tuple[str, str]]:
    """What stands before each field's value, and the field, in the order of sorted keys: ``$type`` comes before every name."""
    names = sorted(f.name for f in dataclasses.fields(cls))
    return [(f'{{"$type":"{cls.__name__}","{name}":' if name == names[0] else f',"{name}":', name) for name in names]


_FIELDS: dict[type[Any], list[tuple[str, str]]] = {cls: _opened(cls) for cls in _DATACLASSES.values()}
"""Those of requests and responses are added when the first one is written."""

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
"""Two surrogates in a row: JSON would read their escapes as the one character that they encode in UTF-16."""

_Blob = np.ndarray[Any, Any] | ContentArray
_WriteBlob = Callable[[_Blob], str]


def _write(value: Any, blob: _WriteBlob) -> str:
    """Canonical JSON. ``blob`` writes what is large: its bytes, or their digest."""
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind is float:
        return repr(value) if math.isfinite(value) else f'{{"$float":"{value!r}"}}'
    if kind is int:
        return repr(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is tuple and set(map(type, value)) == {str}:
        return _texts(value)
    if kind is tuple or kind is list:
        return f"[{','.join([_write(v, blob) for v in value])}]"
    if kind is dict:
        return _mapping(value, blob)
    if kind is attribution_codec.Steps:
        steps = attribution_codec.as_steps(value)
        return f'{{"$steps":["{steps.dtype.str}","{_bytes(steps)}"]}}'
    if kind in _FIELDS:
        return "".join([f"{before}{_write(getattr(value, name), blob)}" for before, name in _FIELDS[kind]]) + "}"
    if isinstance(value, np.ndarray | ContentArray):
        return blob(value)
    if isinstance(value, Mapping):
        return _mapping(value, blob)
    return _of_plugin(value, blob) or _write(_plain(value), blob)


def _of_plugin(value: Any, blob: _WriteBlob) -> str:
    """A value of a plugin's own modality, or the first request or response of its class; empty where it is none of these."""
    if isinstance(value, Unread):
        return _in_modality(value.modality, value.facts, blob)
    known = None if isinstance(value, str | tuple | list) else modality_of(value)
    if known is not None:
        try:
            facts = known.to_json(value)
        except Exception as error:
            what = f"the modality {known.name!r} gives no content of a {type(value).__name__}"
            raise TypeError(f"{what}: {type(error).__name__}: {error}") from error
        return _in_modality(known.name, facts, blob)
    if isinstance(value, requests.Request | requests.Response) and dataclasses.is_dataclass(value):
        _FIELDS[type(value)] = _opened(type(value))
        return _write(value, blob)
    return ""


def _in_modality(name: str, facts: Any, blob: _WriteBlob) -> str:
    return f'{{"$modality":[{encode_basestring_ascii(name)},{_write(facts, blob)}]}}'


@lru_cache(maxsize=64)
def _texts(values: tuple[str, ...]) -> str:
    """Kept, for a classifier's thousand labels stand in each of its requests, and writing them takes a tenth of an image's time."""
    return f"[{','.join(map(_text, values))}]"


def _text(value: str) -> str:
    if value.isascii() or not _PAIR.search(value):
        return encode_basestring_ascii(value)
    return f'{{"$text":"{value.encode("utf-8", "surrogatepass").hex()}"}}'


def _mapping(value: Mapping[Any, Any], blob: _WriteBlob) -> str:
    if set(map(type, value)) <= {str}:
        names = sorted(value)
        heads = list(map(_key, names))
        if all(heads):
            return f"{{{','.join([f'{head}{_write(value[name], blob)}' for head, name in zip(heads, names, strict=True)])}}}"
    elif all(isinstance(key, str) for key in value):
        return _mapping({str.__str__(k): v for k, v in value.items()}, blob)
    items = sorted([(_write(k, blob), _write(v, blob)) for k, v in value.items()])
    return f'{{"$map":[{",".join([f"[{k},{v}]" for k, v in items])}]}}'


@lru_cache(maxsize=4096)
def _key(name: str) -> str:
    """What stands before the value; empty where JSON would read another key back.

    A user's own ``$type`` becomes ``$$type``: data can never name one of our markers.
    """
    if _PAIR.search(name):
        return ""
    return f"{encode_basestring_ascii(f'${name}' if name.startswith('$') else name)}:"


def _plain(value: Any) -> Any:
    """A subclass of a type that JSON has, or a numpy scalar, as that type."""
    scalar = value.item() if isinstance(value, np.generic) else value
    if isinstance(scalar, str):
        return str.__str__(scalar)  # not what an enumeration calls itself
    if isinstance(scalar, bool):
        return scalar
    if isinstance(scalar, int):
        return int(scalar)
    if isinstance(scalar, float):
        return float(scalar)
    if isinstance(value, tuple | list):
        return list(value)
    raise TypeError(
        f"a {type(value).__name__} cannot be recorded; use text, numbers, lists, mappings, numpy arrays or values of a `Modality`"
    )


def _whole(value: _Blob) -> str:
    if isinstance(value, ContentArray):
        return _of_plugin(value, _exact)
    half = attribution_codec.as_half(value) if value.dtype.str == "<f4" else None
    if half is None:
        return _plain_array(value)
    return f'{{"$half":[{half[0]},{_write(value.shape, _whole)},"{_bytes(half[1].astype("<f2"))}"]}}'


def _exact(value: _Blob) -> str:
    assert isinstance(value, np.ndarray)
    return _plain_array(value)


def _plain_array(value: np.ndarray[Any, Any]) -> str:
    if value.dtype.kind not in "biufcmMSU":
        raise TypeError(f"an array of {value.dtype} cannot be recorded; use an array of numbers or text")
    return f'{{"$array":[{encode_basestring_ascii(value.dtype.str)},{_write(value.shape, _whole)},"{_bytes(value)}"]}}'


def _bytes(value: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(value.tobytes()).decode()


def _digest_only(value: _Blob) -> str:
    """1 ms for a 224 x 224 image as base64 in JSON, 0.1 ms by its SHA-256, which it keeps."""
    if isinstance(value, ContentArray):
        return f'{{"$sha256":"{value.digest}"}}'
    return _whole(value)


def _unpack(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return tuple([_unpack(v) for v in value])
    if kind is not dict or not value:
        return value
    # A marker sorts before the fields of its dataclass, and else stands alone.
    read = _MARKERS.get(next(iter(value)))
    if read is not None:
        return read(value)
    return {k[1:] if k.startswith("$$") else k: _unpack(v) for k, v in value.items()}


def _dataclass(value: dict[str, Any]) -> Any:
    name = value.pop("$type")
    facts = {k: _unpack(v) for k, v in value.items()}
    cls = _DATACLASSES.get(name) or requests.class_named(name)
    return cls(**facts) if cls is not None else Unread(name, facts)


def _modality(value: dict[str, Any]) -> Any:
    name, facts = value["$modality"]
    known = modality_named(name)
    return known.from_json(_unpack(facts)) if known is not None else Unread(name, _unpack(facts))


def _array(value: dict[str, Any]) -> np.ndarray[Any, Any]:
    dtype, shape, data = value["$array"]
    kind = np.dtype(dtype)
    return np.frombuffer(base64.b64decode(data), dtype=kind).reshape(shape) if kind.itemsize and data else np.empty(shape, kind)


def _half(value: dict[str, Any]) -> np.ndarray[Any, Any]:
    exponent, shape, data = value["$half"]
    return attribution_codec.from_half(exponent, np.frombuffer(base64.b64decode(data), dtype="<f2")).reshape(shape)


def _steps(value: dict[str, Any]) -> attribution_codec.Steps:
    kind, data = value["$steps"]
    return attribution_codec.from_steps(np.frombuffer(base64.b64decode(data), dtype=kind))


_MARKERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "$type": _dataclass,
    "$float": lambda value: float(value["$float"]),
    "$array": _array,
    "$half": _half,
    "$steps": _steps,
    "$text": lambda value: bytes.fromhex(value["$text"]).decode("utf-8", "surrogatepass"),
    "$map": lambda value: {_unpack(k): _unpack(v) for k, v in value["$map"]},
    "$modality": _modality,
}


def dumps(value: Any, /) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII only (a lone surrogate becomes its escape and comes back as itself)."""
    return _write(value, _whole)


def loads(text: str, /) -> Any:
    """The inverse of `dumps`; lists come back as tuples, as the frozen types hold them."""
    return _unpack(json.loads(text))


def loads_some(text: str, names: Collection[str], /) -> dict[Any, Any]:
    """`loads` of a mapping's text, only these of its keys: what is not asked for (an image, say) is not made."""
    whole = json.loads(text)
    if "$map" in whole:
        return {k: v for k, v in _unpack(whole).items() if k in names}
    wanted = ((name, f"${name}" if name.startswith("$") else name) for name in names)
    return {name: _unpack(whole[key]) for name, key in wanted if key in whole}


def digest(value: Any, /) -> str:
    """SHA-256 of the canonical JSON, in hex, with images and audio by their own digests: the identity of a fact."""
    return hashlib.sha256(_write(value, _digest_only).encode("ascii")).hexdigest()


def digest_all(values: Iterable[Any], /) -> str:
    """The `digest` of these values as a list, one at a time."""
    whole, before = hashlib.sha256(b"["), ""
    for value in values:
        whole.update(f"{before}{_write(value, _digest_only)}".encode("ascii"))
        before = ","
    whole.update(b"]")
    return whole.hexdigest()
