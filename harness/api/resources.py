"""Resources: what a plugin reads beside models and data sets. Word lists, thesauri, word vectors.

A plugin, a task or a model source that needs any names them in an optional method ``resources() -> Sequence[Resource]``. A suite whose
attacks or probes lack one is not run; ``windtunnel prefetch`` lists and fetches them. Nothing else ever does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .registry import Entry, parameters


@dataclass(frozen=True, slots=True)
class Resource:
    """``looked``: where it is looked for. ``advice``: how to get it by hand. ``fetch``: gets it; None where nothing can be fetched.
    ``path``: the file or folder that is read, where its content decides results."""

    name: str
    is_there: bool
    looked: str
    advice: str
    fetch: Callable[[], object] | None = None
    path: Path | None = None


def resources_of(part: Any, /) -> tuple[Resource, ...]:
    """What a plugin says it needs."""
    say = getattr(part, "resources", None)
    return tuple(say()) if callable(say) else ()


def missing_resources(part: Any, /) -> str:
    """What a plugin lacks, in words; empty where it lacks nothing."""
    return "; ".join(
        f"{resource.name} is not there (looked for in {resource.looked}); {resource.advice}"
        for resource in resources_of(part)
        if not resource.is_there
    )


def digests_of(part: Any, /) -> dict[str, str]:
    """A digest of what each resource of a plugin holds: with other word data, an attack's records are another run's."""
    return {resource.name: _digest(resource.path) for resource in resources_of(part) if resource.path is not None}


def _digest(path: Path) -> str:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            whole.update(f"{file.relative_to(path)}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\0".encode())
    return whole.hexdigest()


def with_folder(entry: Entry, settings: Mapping[str, Any], folder: str | None, /) -> dict[str, Any]:
    """A plugin's settings, the suite's resource folder among them where it has a setting ``resources`` and none is given."""
    known = (parameters(entry.load()) or {}) if folder else {}
    return {**({"resources": folder} if "resources" in known else {}), **settings}
