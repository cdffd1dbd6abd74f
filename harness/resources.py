"""Resources: what a plugin reads beside models and data sets. Word lists, thesauri, word vectors.

A plugin, a task or a model source that needs any names them in an optional method ``resources() -> Sequence[Resource]``. A suite whose
attacks or probes lack one is not run; ``windtunnel prefetch`` lists and fetches them. Nothing else ever does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .registry import Entry, parameters


@dataclass(frozen=True, slots=True)
class Resource:
    """``looked``: where it is looked for. ``advice``: how to get it by hand. ``fetch``: gets it; None where nothing can be fetched."""

    name: str
    is_there: bool
    looked: str
    advice: str
    fetch: Callable[[], object] | None = None


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


def with_folder(entry: Entry, settings: Mapping[str, Any], folder: str | None, /) -> dict[str, Any]:
    """A plugin's settings, the suite's resource folder among them where it has a setting ``resources`` and none is given."""
    known = (parameters(entry.load()) or {}) if folder else {}
    return {**({"resources": folder} if "resources" in known else {}), **settings}
