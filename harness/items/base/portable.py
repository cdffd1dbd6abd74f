"""Settings in a form that does not depend on the location of files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...identity.digests import digest_file


def make_portable(value: Any, /) -> Any:
    """Return a setting independent of the location of files: a path becomes the file's name and digest."""
    if isinstance(value, Mapping):
        return {key: make_portable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [make_portable(part) for part in value]
    if not isinstance(value, str):
        return value
    path = Path(value)
    if _is_file(path):
        return ["file", path.name, digest_file(path)]
    return path.name if path.is_absolute() else value


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # the text may be too long for a file name, or contain a NUL
        return False
