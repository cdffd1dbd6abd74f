"""Resources that plugins read in addition to models and data sets: word lists, thesauri, word vectors.

A plugin, a task or a model source lists them in an optional method ``resources() -> Sequence[Resource]``. A suite does not run while a
resource of its attacks or probes is missing. Only ``windtunnel prefetch`` fetches resources.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .registry import Entry, list_parameters


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a plugin.

    ``is_there``: whether it is available. ``looked``: the places that were searched. ``advice``: how to get it by hand. ``fetch``:
    downloads it; None if it cannot be downloaded. ``path``: the file or folder whose content affects results.
    """

    name: str
    is_there: bool
    looked: str
    advice: str
    fetch: Callable[[], object] | None = None
    path: Path | None = None


def list_resources(part: Any, /) -> tuple[Resource, ...]:
    """Return the resources that a plugin lists."""
    list_resources = getattr(part, "resources", None)
    return tuple(list_resources()) if callable(list_resources) else ()


def describe_missing_resources(part: Any, /) -> str:
    """Describe the missing resources of a plugin; empty if there are none."""
    return "; ".join(
        f"{resource.name} is missing (searched {resource.looked}); {resource.advice}"
        for resource in list_resources(part)
        if not resource.is_there
    )


def digest_resources(part: Any, /) -> dict[str, str]:
    """Return a digest of the content of each resource, by name. Changed word data invalidate an attack's records."""
    return {resource.name: _digest(resource.path) for resource in list_resources(part) if resource.path is not None}


def _digest(path: Path) -> str:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            whole.update(f"{file.relative_to(path)}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\0".encode())
    return whole.hexdigest()


def with_folder(entry: Entry, settings: Mapping[str, Any], folder: str | None, /) -> dict[str, Any]:
    """Return a plugin's settings, with the suite's resource folder as the default of its setting ``resources``, if it has one."""
    known = (list_parameters(entry.load()) or {}) if folder else {}
    return {**({"resources": folder} if "resources" in known else {}), **settings}
