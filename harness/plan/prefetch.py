"""Downloads the external resources of a suite: models and data sets of the hub, and files that its plugins read.

Only this module downloads on purpose. In offline mode it only reports what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..api.errors import UserError
from ..api.registry import Registry
from ..api.resources import Resource, list_resources, with_folder
from ..data.yaml_lines import SUFFIXES
from ..suite.specs import AttackSpec, Suite
from ..system.offline import is_offline
from ..threats import build_threat

_SUFFIXES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True, slots=True)
class Supply:
    """A resource that ``owner`` needs.

    ``problem``: why it is missing; empty if it is present.
    ``was_fetched``: whether this call downloaded it.
    """

    owner: str
    name: str
    problem: str = ""
    was_fetched: bool = False


def prefetch(suite: Suite, registry: Registry, /) -> Iterator[Supply]:
    """Download the missing resources of a suite one by one, and yield each resource with its state.

    Raises `UserError` for invalid names or settings. A failed download raises nothing: `Supply.problem` has the error.
    """
    for owner, part in _create_parts(suite, registry):
        for resource in (*_list_undeclared(part), *list_resources(part)):
            yield _make_supply(owner, resource)


def _make_supply(owner: str, resource: Resource) -> Supply:
    if resource.is_there:
        return Supply(owner, resource.name)
    missing = f"looked for in {resource.looked}; {resource.advice}"
    if resource.fetch is None or is_offline():
        return Supply(owner, resource.name, missing)
    try:
        resource.fetch()
    except Exception as error:  # noqa: BLE001 - libraries raise any exception; the next resources still load
        said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return Supply(owner, resource.name, f"{missing} ({said})")
    return Supply(owner, resource.name, was_fetched=True)


def _create_parts(suite: Suite, registry: Registry) -> Iterator[tuple[str, Any]]:
    """Create the suite's models, tasks, attacks, probes and threats without loading weights or data."""
    for model in (*suite.models, *suite.auxiliary_models):
        yield f"model {model.name}", registry.make("models", model.kind, target=model.target, **model.settings)
    for task in suite.tasks:
        is_file = task.task.endswith(SUFFIXES)
        name, path = ("file", {"path": task.task}) if is_file else (task.task, {})
        yield f"task {task.name}", registry.make("tasks", name, **path, **task.settings)
    for kind, specs in (("attack", suite.attacks), ("probe", suite.probes)):
        for spec in specs:
            name = getattr(spec, kind)
            settings = with_folder(registry.get(f"{kind}s", name), spec.settings, suite.resources)
            plugin = registry.make(f"{kind}s", name, **settings)
            yield f"{kind} {spec.name or name}", plugin
            if isinstance(spec, AttackSpec) and spec.threat is not None:
                yield f"the threat of {spec.name or name}", build_threat(spec.threat, plugin, spec.name or name, suite.resources)


def _list_undeclared(part: Any) -> Iterator[Resource]:
    """Yield the resources that the plugin does not declare: a checkpoint of the hub."""
    from ..models.hf.source import HuggingFace

    if isinstance(part, HuggingFace) and not Path(part.target).is_dir():
        yield _describe_checkpoint(part.target, part.revision)


def _describe_checkpoint(name: str, revision: str | None) -> Resource:
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    place = try_to_load_from_cache(name, "config.json", revision=revision)
    weights = isinstance(place, str) and any(Path(place).parent.glob("*.safetensors"))

    def fetch() -> None:
        snapshot_download(name, revision=revision, allow_patterns=[*_SUFFIXES])

    return Resource(f"the checkpoint {name}", weights, "the hub's local cache", f"fetch it with: hf download {name}", fetch)
