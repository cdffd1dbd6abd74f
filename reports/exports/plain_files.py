"""Write text and JSON files in which hostile values are plain: no lone surrogates, no NaN and no infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...harness.api.visible_text import escape_surrogates


def write_text(path: Path, text: str, /) -> None:
    """Write a text file, its folder included. Lone surrogates, which UTF-8 cannot hold, become escapes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(escape_surrogates(text).encode())


def write_json(path: Path, value: Any, /) -> None:
    """Write a value as JSON (`to_plain`)."""
    write_text(path, json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def to_plain(value: Any, /) -> Any:
    """Return a value of JSON: mappings with text as keys, lists, texts and finite numbers; NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {escape_surrogates(str(key)): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    if isinstance(value, str):
        return escape_surrogates(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float) else str(value)
